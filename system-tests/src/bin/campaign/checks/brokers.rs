//! What goes on while a broker is away.

use std::collections::BTreeMap;

use daybook_event::token::Token;
use schemas::{orders, users};

use super::Judged;
use crate::evidence::{Evidence, Quiet};
use crate::history::{Asked, Command, Effect, Outcome, Read};

/// Once others lead the partitions of a broker that is away, every service takes commands; what it takes comes into the log
/// and into D, and of orders that holds for each partition.
pub(super) fn away_stops_nobody(evidence: &Evidence) -> Judged {
    let mut judged = Judged::default();
    for quiet in &evidence.quiet {
        let mut met: BTreeMap<String, bool> = expected(evidence).map(|what| (what, false)).collect();
        let taken = evidence.history.commands.iter().filter(|command| is_taken(command, quiet));
        let seen = evidence.history.reads.iter().filter_map(|read| seen(read, quiet));
        for what in taken.map(|command| takes(service(command))).chain(seen) {
            met.entry(what).and_modify(|met| *met = true);
        }
        let Quiet { from_us, to_us } = quiet;
        for (what, met) in met {
            let wrong = (!met).then(|| format!("{what} never between {from_us} and {to_us} µs"));
            judged.case(wrong, &[]);
        }
    }
    judged
}

fn expected(evidence: &Evidence) -> impl Iterator<Item = String> {
    let services = ["users", "products", "orders"].map(takes).into_iter();
    // Those that anybody was promised an event of, whether or not it came.
    let accepted = evidence.history.commands.iter().filter_map(Command::accepted);
    let promised = accepted.filter_map(|(token, _)| of_orders(token));
    services.chain([shows(users::TOPIC)]).chain(promised)
}

fn of_orders(token: &Token) -> Option<String> {
    let own = token.positions.iter().find(|at| at.topic == orders::TOPIC)?;
    Some(shows(&format!("{}/{}", own.topic, own.partition)))
}

fn takes(service: &str) -> String {
    format!("service {service} took a command")
}

fn shows(events: &str) -> String {
    format!("D showed what had just come to {events}")
}

fn service(command: &Command) -> &'static str {
    match command.asked {
        Asked::SignUp { .. } | Asked::ChangeUser | Asked::DeleteUser => "users",
        Asked::Create | Asked::ChangeProduct | Asked::Discontinue => "products",
        Asked::Order { .. } | Asked::Cancel { .. } => "orders",
    }
}

fn is_taken(command: &Command, quiet: &Quiet) -> bool {
    let accepted = |outcome: &Outcome| matches!(outcome, Outcome::Accepted { .. });
    let mut attempts = command.attempts.iter().filter(|attempt| accepted(&attempt.outcome));
    attempts.any(|attempt| quiet.holds(attempt.began_us, attempt.ended_us))
}

/// Of what a read tells that it came through: a client asks right after its command.
fn seen(read: &Read, quiet: &Quiet) -> Option<String> {
    let after = read.after.as_ref().filter(|_| quiet.holds(read.began_us, read.ended_us))?;
    match after.effect {
        Effect::SignedUp | Effect::Deleted => Some(shows(users::TOPIC)),
        Effect::Placed(_) | Effect::Cancelled(_) => of_orders(&after.token),
        Effect::Titled(..) | Effect::Discontinued(_) => None,
    }
}
