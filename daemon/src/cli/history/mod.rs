//! Commands about what was said and done before.

mod blame;
mod export;
mod import;
mod log;
mod remote;
mod search;
mod show;
mod trace;

pub(super) use search::search;

use super::{
    args::{HistoryArgs, HistoryCommand},
    context::Context,
    error::{CliError, Exit},
};

pub(super) async fn run(ctx: &Context, args: HistoryArgs) -> Result<Exit, CliError> {
    match args.command {
        HistoryCommand::Search(args) => search(ctx, args).await,
        HistoryCommand::Log { target, all, limit } => log::log(ctx, target, all, limit).await,
        HistoryCommand::Show {
            target,
            turn,
            no_pager,
        } => show::show(ctx, target, turn, no_pager).await,
        HistoryCommand::Replay {
            session,
            turn,
            speed,
            instant,
        } => show::replay(ctx, session, turn, (!instant).then_some(speed)).await,
        HistoryCommand::Blame { place, rev, text } => blame::blame(ctx, &place, rev, text).await,
        HistoryCommand::Trace {
            requirement,
            task,
            check,
        } => trace::trace(ctx, requirement, task, check).await,
        HistoryCommand::Import { task, from } => import::import(ctx, task, from).await,
        HistoryCommand::Export(args) => export::export(ctx, args).await,
        HistoryCommand::Push(args) => remote::push(ctx, args).await,
        HistoryCommand::Fetch(args) => remote::fetch(ctx, args).await,
        HistoryCommand::Remote(args) => remote::named(ctx, args).await,
    }
}

/// The first digits of a commit's id, as people know it.
fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}
