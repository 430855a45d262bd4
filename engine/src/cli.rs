//! The command line: one file per subcommand, thin: reads arguments, calls the library, prints.
