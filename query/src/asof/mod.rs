//! `a ASOF JOIN b MATCH_CONDITION (a.time >= b.time) ON a.host = b.host`: with each row of `a` the row of `b` that is
//! nearest to it in time, as Snowflake writes it. A row of `a` without one stays, with NULLs.
//!
//! The parser knows the words, DataFusion's planner does not: the statement has a left join on a function instead
//! (`sql/asof_join.rs`). An analyzer rule puts an [`AsOf`](node::AsOf) in its place before anything else can look at
//! it.

mod exec;
mod node;

pub(crate) use node::{AsOfPlanner, FindAsOf, PushBelowAsOf};

/// How the row that is looked for lies in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
enum Nearest {
    /// The last one up to the time (`>=`), or before it (`>`).
    AtOrBefore,
    Before,
    /// The first one from the time on (`<=`), or behind it (`<`).
    AtOrBehind,
    Behind,
}

impl Nearest {
    const ALL: [(Nearest, &str); 4] =
        [(Nearest::AtOrBefore, ">="), (Nearest::Before, ">"), (Nearest::AtOrBehind, "<="), (Nearest::Behind, "<")];

    fn of(operator: &str) -> Option<Nearest> {
        Nearest::ALL.into_iter().find(|(_, own)| *own == operator).map(|(nearest, _)| nearest)
    }

    fn operator(self) -> &'static str {
        Nearest::ALL.into_iter().find(|(own, _)| *own == self).map_or("", |(_, operator)| operator)
    }
}
