//! Every request and every answer, in the words of the clients. Times are microseconds since the campaign began.

use daybook_event::token::Token;
use uuid::Uuid;

/// How the problems end that say that something was never there.
pub(crate) const UNKNOWN: &str = "-unknown";

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A new account.
    SignUp { email: String },
    /// Another name, and perhaps another e-mail address, for the account.
    ChangeUser,
    /// The end of the account.
    DeleteUser,
    /// A new product.
    Create,
    /// Another title.
    ChangeProduct,
    /// The end of the product.
    Discontinue,
    /// The user orders the product.
    Order { user: Uuid, product: Uuid },
    /// The user takes the order back.
    Cancel { user: Uuid },
}

/// One command with all its attempts, which share an idempotency key.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    /// Correlation id of all its attempts; the log's event bears it.
    pub(crate) id: Uuid,
    /// Who asked.
    pub(crate) client: usize,
    /// What for.
    pub(crate) asked: Asked,
    /// The user, product or order that it is about, if that was there before.
    pub(crate) on: Option<Uuid>,
    /// In the order in which they were sent.
    pub(crate) attempts: Vec<Attempt>,
}

/// One request of a command.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// When it was sent.
    pub(crate) began_us: u64,
    /// When it was answered or given up.
    pub(crate) ended_us: u64,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command took effect: positions of its events, and the id of what it made or changed.
    Accepted { status: u16, token: Token, id: Uuid },
    /// The service said no.
    Refused { status: u16, problem: String },
    /// Nobody knows: no answer, or one that asks to come again.
    Unclear { why: String },
}

impl Outcome {
    /// Whether it says yes or no.
    pub(crate) fn is_answer(&self) -> bool {
        !matches!(self, Self::Unclear { .. })
    }

    /// Whether the same request gets it again from now on.
    pub(crate) fn is_clear(&self) -> bool {
        self.is_answer() && !self.is_of_the_unheard()
    }

    /// Whether an order was refused because its service had not heard of the user or the product: the next attempt may be
    /// answered otherwise.
    fn is_of_the_unheard(&self) -> bool {
        matches!(self, Self::Refused { status: 422, problem } if problem.ends_with(UNKNOWN))
    }
}

impl Command {
    /// The first clear answer, and when it came.
    pub(crate) fn clear(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.outcome.is_clear())
    }

    /// Whether a service has said yes or no, if only for the moment.
    pub(crate) fn is_answered(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.outcome.is_answer())
    }

    /// Whether it may be in the log although nobody has acknowledged it.
    pub(crate) fn may_have_been_taken(&self) -> bool {
        self.clear().is_none() && !self.attempts.iter().all(|attempt| attempt.outcome.is_answer())
    }

    /// Positions and id, if it was acknowledged.
    pub(crate) fn accepted(&self) -> Option<(&Token, Uuid)> {
        match &self.clear()?.outcome {
            Outcome::Accepted { token, id, .. } => Some((token, *id)),
            _ => None,
        }
    }

    /// When its first request was sent.
    pub(crate) fn began_us(&self) -> u64 {
        self.attempts.first().map_or(0, |attempt| attempt.began_us)
    }

    /// Whether its account of events has anything to do with `id`.
    pub(crate) fn is_about(&self, id: Uuid) -> bool {
        let joined = match self.asked {
            Asked::Order { user, product } => user == id || product == id,
            Asked::Cancel { user } => user == id,
            _ => false,
        };
        joined || self.id == id || self.on == Some(id) || self.accepted().is_some_and(|(_, made)| made == id)
    }
}

/// A client's question to D, and the answer.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Who asked; all its reads are one session, whatever they ask for.
    pub(crate) client: usize,
    /// When the question was sent.
    pub(crate) began_us: u64,
    /// When the answer was there.
    pub(crate) ended_us: u64,
    /// What was asked.
    pub(crate) question: Question,
    /// The write that it had to see.
    pub(crate) after: Option<After>,
    /// What it saw.
    pub(crate) seen: Seen,
    /// The positions that the answer rests on.
    pub(crate) as_of: Token,
}

/// What D is asked for: one for each of its routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// A user's orders.
    Orders(Uuid),
    /// What a user has ordered, by product.
    Purchases(Uuid),
    /// One product.
    Product(Uuid),
    /// A page of all products.
    Products,
}

/// A write that a read has to see.
#[derive(Debug, Clone)]
pub(crate) struct After {
    /// Its positions.
    pub(crate) token: Token,
    /// What it did.
    pub(crate) effect: Effect,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The user is there.
    SignedUp,
    /// The user is gone.
    Deleted,
    /// The user has one order more.
    Placed(Uuid),
    /// An order of the user is taken back.
    Cancelled(Uuid),
    /// The product has this title.
    Titled(Uuid, String),
    /// The product is no longer sold.
    Discontinued(Uuid),
}

/// D's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A user's orders in D's order.
    Orders(Vec<SeenOrder>),
    /// A user's purchases in D's order.
    Purchases(Vec<SeenPurchase>),
    /// One product, or a page of them.
    Products(Vec<(Uuid, SeenProduct)>),
    /// No such user or product, or no longer.
    Nothing,
}

/// One order in D's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenOrder {
    /// Its id.
    pub(crate) id: Uuid,
    /// What was ordered.
    pub(crate) product: Uuid,
    /// The newest title of that; none if D does not know it yet.
    pub(crate) title: Option<String>,
    /// How many.
    pub(crate) quantity: u32,
    /// Whether it was taken back.
    pub(crate) cancelled: bool,
}

/// All orders of one user for one product in D's answer, without those that were taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenPurchase {
    /// What was ordered, as D shows it.
    pub(crate) product: (Uuid, SeenProduct),
    /// How many orders.
    pub(crate) orders: u64,
    /// How many pieces.
    pub(crate) quantity: u64,
}

/// A product as D shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenProduct {
    /// Its newest title; none if D does not know it yet.
    pub(crate) title: Option<String>,
    /// Whether it is no longer sold.
    pub(crate) discontinued: bool,
}

impl Question {
    /// About whom it is, if it is about a user.
    pub(crate) fn user(self) -> Option<Uuid> {
        match self {
            Self::Orders(user) | Self::Purchases(user) => Some(user),
            Self::Product(_) | Self::Products => None,
        }
    }
}

fn shown((id, product): &(Uuid, SeenProduct)) -> (Uuid, Option<&str>, Option<bool>) {
    (*id, product.title.as_deref(), Some(product.discontinued))
}

impl Read {
    /// Products that the answer shows: title, and whether it is no longer sold where the route tells that.
    pub(crate) fn products(&self) -> Vec<(Uuid, Option<&str>, Option<bool>)> {
        match &self.seen {
            Seen::Orders(orders) => {
                orders.iter().map(|order| (order.product, order.title.as_deref(), None)).collect()
            }
            Seen::Purchases(purchases) => purchases.iter().map(|purchase| shown(&purchase.product)).collect(),
            Seen::Products(products) => products.iter().map(shown).collect(),
            Seen::Nothing => Vec::new(),
        }
    }

    /// Whether it asks for `id`, or for something that shows it.
    pub(crate) fn is_about(&self, id: Uuid) -> bool {
        let asked = self.question.user() == Some(id) || self.question == Question::Product(id);
        asked || self.products().iter().any(|(product, ..)| *product == id)
    }
}

/// All that was asked and answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// Commands, in the order in which they were finished.
    pub(crate) commands: Vec<Command>,
    /// Reads that were answered.
    pub(crate) reads: Vec<Read>,
    /// Reads that were not answered, or asked to come again.
    pub(crate) reads_unanswered: usize,
}
