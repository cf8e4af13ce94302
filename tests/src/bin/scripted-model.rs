//! The scripted model as a program, to try an agent by hand: `scripted-model [PORT [PAUSE_MS]]`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use spectask_tests::scripted_model::{ScriptedModel, standard_script};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let port = args.next().map_or(Ok(0), |port| port.parse())?;
    let pause = args.next().map_or(Ok(0), |pause| pause.parse())?;
    let pause = Duration::from_millis(pause);
    let model = ScriptedModel::start_on(port, Arc::new(standard_script), pause)?;
    println!("{}", model.url());
    loop {
        std::thread::park();
    }
}
