//! The binary: reads the command line, runs one part, and converts its result to an exit code.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tenant_deletion::cli::{Cli, Command};
use tenant_deletion::{demo, process};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    process::log_to_stderr(cli.command.as_ref());
    let ended = match cli.command {
        None => demo::run(cli.demo).await.map(|()| process::DONE),
        Some(Command::Service(args)) => process::service(args).await.map(|()| process::DONE),
        Some(Command::Gateway(args)) => process::gateway(args).await.map(|()| process::DONE),
        Some(Command::Orchestrate(args)) => process::orchestrate(args).await,
        Some(Command::Audit(args)) => process::audit(&args).map(|()| process::DONE),
    };
    match ended {
        Ok(code) => code,
        // The reader of a pipe closed it, so no output is possible.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            process::DONE
        }
        Err(error) => {
            process::complain(&error);
            process::COULD_NOT.into()
        }
    }
}
