"""The door to the builders: ``python -m data_builders.build NAME``.

The command itself is ``jaxflow.build_data``.
"""

from jaxflow import build_data, commands

main = build_data.main

if __name__ == "__main__":
    commands.run(main)
