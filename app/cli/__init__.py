"""The command line. Its modules import what is heavy inside the commands, so that `--help` answers at once."""
