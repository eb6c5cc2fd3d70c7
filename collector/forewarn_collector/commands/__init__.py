"""The subcommands of `forewarn-collector`, by what they speak of.  `cli` puts them together."""
