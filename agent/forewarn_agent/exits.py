"""What the exit codes of `forewarn-agent` mean; unit files and scripts rely on them."""

NOT_WELL = 1  # a check failed, the agent is not running, the disk refused
WRONG_USE = 2  # arguments or agent.toml
NOT_ENROLLED = 3
REFUSED = 4  # the collector said no, or was not reached
