"""What the tests of HRNet share."""


def state_of(network):
    return {name: leaf.numpy().copy() for name, leaf in network.state_dict().items()}
