"""Parameters of this package under the released code's names, arrays (out, in)."""

import numpy as np


def flow_state(params):
    """The flow's and encoder's ``state_dict``."""
    state = {}
    for layer, name in (("Dense_0", "cond_net.0"), ("Dense_1", "cond_net.2")):
        _put(state, name, params["encoder"][layer])
    for net, released in (("net1", "s1"), ("net2", "s2")):
        weights = params["blocks"][net]
        for block in range(len(weights["output"]["bias"])):
            prefix = f"inn.module_list.{2 * block + 1}.{released}"
            kernels = [
                weights[part]["kernel"][block] for part in ("features", "condition")
            ]
            first = {
                "kernel": np.concatenate([np.asarray(kernel) for kernel in kernels]),
                "bias": weights["condition"]["bias"][block],
            }
            _put(state, f"{prefix}.0", first)
            last = {kind: leaf[block] for kind, leaf in weights["output"].items()}
            _put(state, f"{prefix}.2", last)
    return state


def critic_state(params):
    """The critic's ``state_dict``."""
    state = {}
    for layer, leaves in params.items():
        _put(state, layer, leaves)
    return state


def _put(state, name, layer):
    state[f"{name}.weight"] = np.asarray(layer["kernel"]).T
    state[f"{name}.bias"] = np.asarray(layer["bias"])
