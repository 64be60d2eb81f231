"""The commands of the command line but for the screens: what they are told, what they do."""
