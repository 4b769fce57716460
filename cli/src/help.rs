//! The help: the commands by task, a short `-h`, and a long `--help` with everything.
//!
//! Each command describes itself once, in the comments of its options. This module derives both forms from it, so the
//! command files need no care for them: `-h` has the first sentence of each option, and `--help` has all of it, the
//! examples and the exit codes.

use std::fmt::Write as _;

use clap::builder::{Resettable, StyledStr, Styles};
use clap::{Arg, Command};
use textwrap::{Options, WordSplitter};

use crate::output;

/// The widest help, as wide as this guide's lines are easy to read.
pub(crate) const WIDEST: usize = 100;

/// The commands by task, in the order in which an operator meets them.
pub(crate) const TASKS: [(&str, &[&str]); 10] = [
    ("Set up", &["init", "keygen", "jwks", "store"]),
    ("Mint tokens", &["generate", "renew", "k8s-secret", "dev"]),
    ("Encrypt on this machine", &["ca", "cert"]),
    ("Check a token", &["verify", "inspect"]),
    ("Look up tokens", &["list", "show", "expiring", "prune"]),
    ("Revoke", &["revoke", "unrevoke", "revocations"]),
    ("Rotate and publish keys", &["rotate", "keys", "verifiers", "serve"]),
    ("Check the installation and the services", &["doctor", "endpoints", "attack"]),
    ("Read the audit log", &["audit", "usage", "unused", "anomalies", "suggest", "explain", "dashboard"]),
    ("Use this program", &["completions", "man", "help"]),
];

const MORE: &str = "`service-token COMMAND -h` lists the options of a command, and \
                    `service-token COMMAND --help` explains them with examples.";

/// The command line with its help.
pub(crate) fn with_help(mut command: Command) -> Command {
    // Adds `help` and what the commands have in common.
    command.build();
    let commands = by_task(&command);
    let more = textwrap::fill(MORE, wrapping(width()));
    command = command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{commands}{}\n{{options}}\n\n{more}{{after-help}}",
        heading("Options")
    ));
    with_both_forms(command)
}

fn width() -> usize {
    output::columns().unwrap_or(WIDEST).min(WIDEST)
}

fn wrapping<'a>(width: usize) -> Options<'a> {
    Options::new(width).word_splitter(WordSplitter::NoHyphenation)
}

fn heading(text: &str) -> String {
    let style = Styles::styled();
    format!("{0}{text}:{0:#}", style.get_header())
}

fn by_task(command: &Command) -> String {
    let mut text = String::new();
    let names = TASKS.iter().flat_map(|(_, names)| *names);
    let longest = names.map(|name| name.len()).max().unwrap_or_default();
    let style = Styles::styled();
    for (task, names) in TASKS {
        let _ = writeln!(text, "{}", heading(task));
        for name in names {
            let Some(found) = command.find_subcommand(name) else { continue };
            let about = found.get_about().map(ToString::to_string).unwrap_or_default();
            let indent = " ".repeat(longest + 4);
            let about = textwrap::fill(&about, wrapping(width().saturating_sub(indent.len()).max(20)));
            let about = about.replace('\n', &format!("\n{indent}"));
            let pad = " ".repeat(longest - name.len() + 2);
            let _ = writeln!(text, "  {0}{name}{0:#}{pad}{about}", style.get_literal());
        }
        text.push('\n');
    }
    text
}

/// Moves the examples of a command into its long help, and shortens the options in the short help.
fn with_both_forms(command: Command) -> Command {
    let command = match command.get_after_help().cloned() {
        Some(examples) => command.after_help(Resettable::<StyledStr>::Reset).after_long_help(examples),
        None => command,
    };
    command.mut_args(with_short_help).mut_subcommands(with_both_forms)
}

fn with_short_help(option: Arg) -> Arg {
    let Some(full) = option.get_long_help().or(option.get_help()).map(ToString::to_string) else {
        return option;
    };
    let short = first_sentence(&full);
    if short == full { option } else { option.help(short).long_help(full) }
}

/// The first sentence, with the default that ends the text.
fn first_sentence(text: &str) -> String {
    let (sentence, rest) = text.split_once(". ").unwrap_or((text, ""));
    match rest.rfind("[default: ") {
        Some(start) if text.ends_with(']') => format!("{sentence} {}", rest.get(start..).unwrap_or_default()),
        _ => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::arguments::Cli;

    #[test]
    fn each_command_has_one_task() {
        let command = Cli::command();
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let tasks = TASKS.iter().filter(|(_, names)| names.contains(&command.get_name()));
            assert_eq!(tasks.count(), 1, "{}", command.get_name());
        }
    }

    #[test]
    fn short_help_has_the_first_sentence_and_the_default() {
        for (text, short) in [
            ("One sentence", "One sentence"),
            ("One. Two", "One"),
            ("One. Two [default: `a.b`]", "One [default: `a.b`]"),
            ("One [default: x]", "One [default: x]"),
        ] {
            assert_eq!(first_sentence(text), short);
        }
    }

    #[test]
    fn examples_are_in_the_long_help_alone() {
        let mut command = with_help(Cli::command());
        command.build();
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            let (mut short, mut long) = (command.clone(), command.clone());
            let (short, long) = (short.render_help().to_string(), long.render_long_help().to_string());
            assert!(
                !short.contains("Examples:") && long.contains("Examples:"),
                "{}:\n{short}",
                command.get_name()
            );
        }
    }
}
