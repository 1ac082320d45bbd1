//! `truehit config`: what the configuration is, may be, and would be.

use super::{ConfigCommand, Flags, environment, exit};
use crate::config;

/// Prints what was asked for, and gives the exit code.
#[must_use]
pub fn config(command: &ConfigCommand) -> u8 {
    match command {
        ConfigCommand::Check(flags) => return check(flags),
        ConfigCommand::Schema => println!("{:#}", config::schema()),
        ConfigCommand::Default => print!("{}", config::default_file()),
        ConfigCommand::Reference => print!("{}", config::reference()),
    }
    exit::CLEAN
}

fn check(flags: &Flags) -> u8 {
    match config::load(&flags.overrides(), environment()) {
        Ok(loaded) => {
            print!("{}", loaded.explain());
            exit::CLEAN
        }
        Err(error) => {
            eprintln!("{error}");
            exit::CONFIG
        }
    }
}
