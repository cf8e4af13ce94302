//! Commands about what was said and done before.

mod remote;
mod search;

pub(super) use search::search;

use super::{
    args::{HistoryArgs, HistoryCommand},
    context::Context,
    error::{CliError, Exit},
};

pub(super) async fn run(ctx: &Context, args: HistoryArgs) -> Result<Exit, CliError> {
    match args.command {
        HistoryCommand::Push(args) => remote::push(ctx, args).await,
        HistoryCommand::Fetch(args) => remote::fetch(ctx, args).await,
        HistoryCommand::Remote(args) => remote::named(ctx, args).await,
    }
}
