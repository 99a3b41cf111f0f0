//! The principal's facts put into an expression as literals.
//!
//! Invariant: what is not known of the principal is NULL, so that whatever is compared with it hides the row.

use super::{Expression, Literal, Members};

/// What is known of a principal, for one evaluation of the rules.
pub(crate) trait Facts {
    /// The value of an attribute; none when the principal has none of this name, or has a list.
    fn value(&self, attribute: &str) -> Option<Literal>;

    /// The members of an attribute that is a list.
    fn members(&self, attribute: &str) -> Option<Vec<Literal>>;

    /// The values of a mapping for a key; empty when it has none for it.
    fn mapped(&self, mapping: &str, key: &Literal) -> Vec<Literal>;
}

impl Expression {
    /// The expression for one principal.
    pub(crate) fn bound(&self, facts: &dyn Facts) -> Self {
        let each = |part: &Self| Box::new(part.bound(facts));
        match self {
            Self::Literal(_) | Self::Column(_) => self.clone(),
            Self::Attribute(name) => Self::Literal(facts.value(name).unwrap_or(Literal::Null)),
            Self::Not(value) => Self::Not(each(value)),
            Self::And(one, two) => Self::And(each(one), each(two)),
            Self::Or(one, two) => Self::Or(each(one), each(two)),
            Self::Compare(how, one, two) => Self::Compare(*how, each(one), each(two)),
            Self::In { value, list, negated } => match members(list, facts) {
                Some(values) => Self::In {
                    value: each(value),
                    list: Members::Values(values),
                    negated: *negated,
                },
                None => Self::Literal(Literal::Null),
            },
            Self::IsNull { value, negated } => Self::IsNull {
                value: each(value),
                negated: *negated,
            },
            Self::Like {
                value,
                pattern,
                negated,
            } => Self::Like {
                value: each(value),
                pattern: pattern.clone(),
                negated: *negated,
            },
            Self::Case { branches, otherwise } => Self::Case {
                branches: branches
                    .iter()
                    .map(|(condition, result)| (condition.bound(facts), result.bound(facts)))
                    .collect(),
                otherwise: otherwise.as_deref().map(each),
            },
            Self::Call(function, arguments) => Self::Call(
                *function,
                arguments.iter().map(|argument| argument.bound(facts)).collect(),
            ),
            Self::TryCast(value, to) => Self::TryCast(each(value), *to),
        }
    }
}

fn members(list: &Members, facts: &dyn Facts) -> Option<Vec<Literal>> {
    match list {
        Members::Values(values) => Some(values.clone()),
        Members::Attribute(name) => facts
            .members(name)
            .or_else(|| facts.value(name).map(|value| vec![value])),
        Members::Mapping { name, key } => facts.value(key).map(|key| facts.mapped(name, &key)),
    }
}
