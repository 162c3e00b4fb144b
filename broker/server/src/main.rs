//! The program: puts the parts together and runs one command. The only file that names the scanner's package, so that
//! everything else can be built and tested without the query engine.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use chunk_broker::args::{Args, Command, KeyStep};
use chunk_broker::commands::{about, check, init, keys, rotate};
use chunk_broker::config::Env;
use chunk_broker::error::CommandError;
use chunk_broker::ports::Ports;
use chunk_broker::process::{block_on, exit_code};
use chunk_broker::{config, dev, serve, telemetry};
use chunk_core::clock::SystemClock;
use chunk_port::Scanner;
use clap::Parser as _;

/// Which of the many possible samples is made.
const SAMPLE_SEED: u64 = 1;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(usage) => {
            // Help and version are not failures; anything else is a usage error.
            let failed = usage.use_stderr();
            usage.print().ok();
            return if failed { ExitCode::from(3) } else { ExitCode::SUCCESS };
        }
    };
    ExitCode::from(exit_code(|| run(args.command, &Env::process())))
}

fn run(command: Command, env: &Env) -> Result<(), CommandError> {
    match command {
        Command::Init(args) => init::init(&args.asked(), env),
        Command::Check { config, connections } => block_on(check::check(&config.file, connections, &ports(), env)),
        Command::Serve { config } => {
            let config =
                config::load(&config.file).map_err(|faults| CommandError::config(faults.to_string()).next("chunk-broker check"))?;
            telemetry::start(env);
            block_on(async { serve::serve(config, ports(), env.clone(), serve::stop_on_signal()?, || ()).await })
        }
        Command::Keygen { kind, output } => keys::keygen(kind, output.as_deref(), env),
        Command::Key {
            step: KeyStep::Prepare { config },
        } => rotate::prepare(&config.file, env),
        Command::Key {
            step: KeyStep::Rotate { config },
        } => block_on(rotate::rotate(&config.file, &ports(), env)),
        Command::Seal { config } => keys::seal(config.as_deref(), env),
        Command::Dev(asked) => {
            telemetry::start(env);
            block_on(dev::run(asked, ports(), env.clone(), write_sample))
        }
        Command::Openapi => about::openapi(),
        Command::Completions { shell } => about::completions(shell),
        Command::Man { dir } => about::man(dir.as_deref()),
    }
}

fn ports() -> Ports {
    Ports {
        clock: Arc::new(SystemClock),
        scanner: Arc::new(|secrets| {
            let engine = chunk_scan::Engine::new(secrets, &chunk_scan::Settings::default());
            engine
                .map(|engine| engine as Arc<dyn Scanner>)
                .map_err(|fault| fault.operator.unwrap_or(fault.public))
        }),
    }
}

/// One customer for every ten orders, the same every time.
fn write_sample(dir: &Path, orders: u64) -> Result<(), String> {
    let written = chunk_scan::sample::write(dir, (orders / 10).max(1), orders, SAMPLE_SEED);
    written.map(|_| ()).map_err(|fault| fault.to_string())
}
