//! The decision: a pure function of document, principal and table name.
//!
//! Invariants: total (every question has an answer), without time, network or state that could change an answer; denied
//! unless a grant allows; taking a grant away never allows more. What has been decided is kept within the snapshot and
//! goes with it, so no answer outlives its document.

use crate::decision::{Allowance, Decision, Mask, MaskKey, Masking, Rows, hexadecimal};
use crate::document::pattern::Part;
use crate::document::{self, Document, Effect, Filter, FilterKind, MappedValue, MaskKind, Privilege, fault};
use crate::error::Result;
use crate::expression::{self, Expression, Facts, Literal};
use crate::grants::{Grants, Rule};
use crate::principal::{Attribute, Principal};
use crate::secret::Secret;
use crate::table_name::TableName;
use aws_lc_rs::hmac;
use moka::sync::Cache;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Decisions kept of one snapshot.
const DECISIONS_MAX: u64 = 20_000;

/// A checked snapshot of the policies. It never changes.
#[derive(Debug, Clone)]
pub struct PolicySet {
    document: Document,
    grants: Grants,
    conditions: Vec<Expression>,
    mappings: HashMap<String, HashMap<MappedValue, Vec<Literal>>>,
    key: Option<Secret>,
    epoch: String,
    decided: Cache<(Principal, TableName), Decision>,
    ruled: Cache<(Principal, Vec<usize>), Arc<Ruling>>,
}

/// What casbin says of the tables of which the same grants speak. A grant that speaks of a table says the same of each
/// such table, so the grants alone make the answer, and a listing of thousands asks casbin a few times.
#[derive(Debug)]
struct Ruling {
    /// Whether a column is granted that no grant names.
    others: bool,
    /// Whether each column is granted that a grant names.
    named: BTreeMap<String, bool>,
    /// Columns that are taken away by a grant which names one table.
    required: BTreeSet<String>,
    /// Whether the metadata is granted.
    metadata: bool,
    /// The names of the grants that give.
    rules: Vec<String>,
}

impl PolicySet {
    /// Reads a document. `path` only names the text in errors.
    ///
    /// # Errors
    /// [`crate::Error::Document`] naming the line and the key, or the rule, at fault.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        Self::parse_with_key(text, path, None)
    }

    /// As [`PolicySet::parse`], with the key that masks of the kind `hash` want.
    ///
    /// # Errors
    /// As [`PolicySet::parse`]; a mask that wants a key where there is none is at fault too.
    pub fn parse_with_key(text: &str, path: &Path, key: Option<&Secret>) -> Result<Self> {
        let document = Document::parse(text, path)?;
        let wants_key = document.masks.iter().find(|mask| mask.kind == MaskKind::Hash);
        if let (Some(mask), None) = (wants_key, key) {
            let reason = format!(
                "rule `{}` hashes, and the config has no `policies.mask_key`",
                mask.name
            );
            return Err(fault(path, reason));
        }
        let read = |filter: &Filter| {
            expression::parse(&filter.condition).map_err(|error| fault(path, error.to_string()))
        };
        let set = Self {
            grants: Grants::of(&document),
            conditions: document.filters.iter().map(read).collect::<Result<_>>()?,
            mappings: mappings(&document),
            key: key.cloned(),
            epoch: hexadecimal(text.as_bytes(), 16),
            decided: Cache::new(DECISIONS_MAX),
            ruled: Cache::new(DECISIONS_MAX),
            document,
        };
        set.canaries().map_err(|reason| fault(path, reason))?;
        Ok(set)
    }

    fn canaries(&self) -> std::result::Result<(), String> {
        for canary in &self.document.canaries {
            let [
                Part::Exactly(catalog),
                Part::Exactly(schema),
                Part::Exactly(table),
            ] = canary.on.table().parts()
            else {
                continue;
            };
            let principal = Principal::new("canary", canary.roles.clone());
            let table = TableName::new(catalog, schema, table);
            let column = match canary.on.column() {
                Part::Exactly(column) => Some(column.as_str()),
                Part::Any => None,
            };
            let permitted = self.permits_column(&principal, canary.privilege, &table, column);
            if permitted != (canary.expect == Effect::Allow) {
                let answer = if permitted { "allow" } else { "deny" };
                return Err(format!(
                    "canary `{}` for {:?}: the answer is {answer}",
                    canary.on, canary.roles
                ));
            }
        }
        Ok(())
    }

    /// What the principal may see of the table. A name with a dollar sign is a metadata table of what stands before the
    /// sign: it wants the privilege `metadata` on that table, and `select` on all of it.
    pub fn decide(&self, principal: &Principal, table: &TableName) -> Decision {
        self.decided.get_with((principal.clone(), table.clone()), || {
            self.decided_anew(principal, table)
        })
    }

    /// As [`PolicySet::decide`], without looking at what has been decided before.
    pub fn decided_anew(&self, principal: &Principal, table: &TableName) -> Decision {
        let (base, is_metadata) = match table.table.rsplit_once('$') {
            Some((base, _)) => (TableName::new(&table.catalog, &table.schema, base), true),
            None => (table.clone(), false),
        };
        let ruling = self.ruling(principal, &base);
        let mut allowance = Allowance {
            rules: ruling.rules.clone(),
            rows: Rows::All,
            others: ruling.others,
            named: ruling.named.clone(),
            masks: Vec::new(),
            required: ruling.required.clone(),
            fingerprint: String::new(),
        };
        if is_metadata {
            if !ruling.others || !ruling.metadata {
                return Decision::Deny;
            }
            allowance.named.clear();
            allowance.required.clear();
        }
        if !allowance.others && !allowance.named.values().any(|granted| *granted) {
            return Decision::Deny;
        }
        self.filter(principal, table, &mut allowance);
        self.mask(principal, table, &mut allowance);
        Decision::Allow(Arc::new(allowance.sealed()))
    }

    /// What the grants say of a table.
    fn ruling(&self, principal: &Principal, table: &TableName) -> Arc<Ruling> {
        let rules = self.rules(principal, table);
        let key = (principal.clone(), rules.iter().map(|rule| rule.place).collect());
        self.ruled
            .get_with(key, || Arc::new(self.ruled_anew(principal, table, &rules)))
    }

    fn ruled_anew(&self, principal: &Principal, table: &TableName, rules: &[Rule]) -> Ruling {
        let court = self.grants.court(principal, rules);
        let reads = |column: Option<&str>| court.permits(Privilege::Select, table, column);
        let of_reading = |rule: &&Rule| rule.privileges.contains(&Privilege::Select);
        let mut named = BTreeMap::new();
        let mut required = BTreeSet::new();
        for rule in rules.iter().filter(of_reading) {
            if let Part::Exactly(column) = rule.object.column() {
                named.insert(column.clone(), reads(Some(column)));
                if rule.effect == Effect::Deny && rule.object.table().is_exact() {
                    required.insert(column.clone());
                }
            }
        }
        let giving = rules
            .iter()
            .filter(of_reading)
            .filter(|rule| rule.effect == Effect::Allow);
        let mut rules: Vec<String> = giving.map(|rule| rule.name.clone()).collect();
        rules.dedup();
        Ruling {
            others: reads(None),
            named,
            required,
            metadata: court.permits(Privilege::Metadata, table, None),
            rules,
        }
    }

    /// Whether the principal may do this with the table as a whole.
    pub fn permits(&self, principal: &Principal, privilege: Privilege, table: &TableName) -> bool {
        self.permits_column(principal, privilege, table, None)
    }

    /// Whether the grants give the principal this privilege on a column; on a column that no grant names when none is
    /// given. Masks are not looked at.
    pub fn permits_column(
        &self,
        principal: &Principal,
        privilege: Privilege,
        table: &TableName,
        column: Option<&str>,
    ) -> bool {
        let rules = self.rules(principal, table);
        self.grants
            .court(principal, &rules)
            .permits(privilege, table, column)
    }

    /// The principal's grants that touch the table. Others cannot change an answer about it.
    fn rules(&self, principal: &Principal, table: &TableName) -> Vec<Rule> {
        self.grants
            .rules_of(principal, |object| object.table().matches(table))
    }

    fn filter(&self, principal: &Principal, table: &TableName, allowance: &mut Allowance) {
        let matching = |pattern: &document::pattern::TablePattern| pattern.matches(table);
        let speaking: Vec<(&Filter, &Expression)> = self
            .document
            .filters
            .iter()
            .zip(&self.conditions)
            .filter(|(filter, _)| filter.on.iter().any(matching))
            .collect();
        if speaking.is_empty() && !self.document.row_secured.iter().any(matching) {
            return;
        }
        let facts = About {
            principal,
            mappings: &self.mappings,
        };
        let (mut shown, mut wanted) = (Expression::truth(false), Expression::truth(true));
        for (filter, condition) in speaking {
            if !self.speaks_to(principal, filter.roles.as_ref(), &filter.except_roles) {
                continue;
            }
            allowance.rules.push(filter.name.clone());
            let condition = condition.bound(&facts);
            match filter.kind {
                FilterKind::Permissive => shown = shown.or(condition),
                FilterKind::Restrictive => wanted = wanted.and(condition),
            }
        }
        let rows = shown.and(wanted);
        if rows != Expression::truth(true) {
            allowance.rows = Rows::Only(rows);
        }
    }

    fn mask(&self, principal: &Principal, table: &TableName, allowance: &mut Allowance) {
        let facts = About {
            principal,
            mappings: &self.mappings,
        };
        let mut found = Vec::new();
        for rule in &self.document.masks {
            if !self.speaks_to(principal, rule.roles.as_ref(), &rule.except_roles) {
                continue;
            }
            for pattern in rule.on.iter().filter(|pattern| pattern.table().matches(table)) {
                if let Some(column) = pattern.exact() {
                    allowance.required.insert(column.to_owned());
                }
                let masking = Masking {
                    column: pattern.column().clone(),
                    mask: self.effect(rule, principal, &facts),
                    rule: rule.name.clone(),
                };
                found.push((rule.priority, masking));
            }
        }
        found.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        for (_, masking) in found {
            allowance.rules.push(masking.rule.clone());
            allowance.masks.push(masking);
        }
    }

    /// What a mask does to values; none when it hides the column.
    fn effect(&self, rule: &document::Mask, principal: &Principal, facts: &dyn Facts) -> Option<Mask> {
        let custom = || {
            let text = rule.expression.as_deref().unwrap_or_default();
            expression::parse(text).map(|expression| Mask::Custom(expression.bound(facts)))
        };
        Some(match rule.kind {
            MaskKind::Deny => return None,
            MaskKind::Null => Mask::Null,
            MaskKind::Constant => Mask::Constant(rule.value.clone().unwrap_or_default()),
            MaskKind::Partial => Mask::Partial {
                first: rule.first.unwrap_or(0),
                last: rule.last.unwrap_or(0),
                with: rule.with.unwrap_or('*'),
            },
            MaskKind::Hash => Mask::Hash {
                key: self.tenant_key(principal)?,
            },
            MaskKind::Bucket => Mask::Bucket {
                width: rule.width.unwrap_or(1),
            },
            MaskKind::Truncate => Mask::Truncate { to: rule.to? },
            // The document was checked: it parses. Should it not, nothing is shown.
            MaskKind::Custom => custom().unwrap_or(Mask::Null),
        })
    }

    /// Another key for each tenant, so that equal values of two tenants are not seen to be equal.
    fn tenant_key(&self, principal: &Principal) -> Option<MaskKey> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.as_ref()?.expose().as_bytes());
        let tag = hmac::sign(&key, principal.tenant().as_bytes());
        tag.as_ref().try_into().ok().map(MaskKey)
    }

    fn speaks_to(
        &self,
        principal: &Principal,
        roles: Option<&BTreeSet<String>>,
        except: &BTreeSet<String>,
    ) -> bool {
        let active = self.grants.active_roles(principal.roles());
        let has = |role: &String| active.contains(role.as_str());
        roles.is_none_or(|roles| roles.iter().any(has)) && !except.iter().any(has)
    }

    /// Whether any table of this schema, present or to come, may be seen. If not, the schema does not exist for the
    /// principal.
    pub fn reaches_schema(&self, principal: &Principal, catalog: &str, schema: &str) -> bool {
        self.grants.reaches(principal, catalog, Some(schema))
    }

    /// Whether any table of this catalog, present or to come, may be seen. If not, the catalog does not exist for the
    /// principal.
    pub fn reaches_catalog(&self, principal: &Principal, catalog: &str) -> bool {
        self.grants.reaches(principal, catalog, None)
    }

    /// Identifies the document: equal text, equal epoch, on every node. 32 hexadecimal digits of its SHA-256.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The roles of a principal with all that they inherit.
    pub(crate) fn active_roles(&self, principal: &Principal) -> BTreeSet<String> {
        let active = self.grants.active_roles(principal.roles());
        active.into_iter().map(str::to_owned).collect()
    }

    /// Every role that a rule names.
    pub(crate) fn roles_named(&self) -> BTreeSet<String> {
        let document = &self.document;
        let mut named: BTreeSet<String> = document.all_grants().flat_map(|grant| grant.roles).collect();
        named.extend(document.roles.iter().map(|role| role.name.clone()));
        named.extend(
            document
                .filters
                .iter()
                .flat_map(|rule| rule.roles.iter().flatten().cloned()),
        );
        named.extend(
            document
                .masks
                .iter()
                .flat_map(|rule| rule.roles.iter().flatten().cloned()),
        );
        named
    }

    /// The tables that rules speak of, as patterns.
    pub(crate) fn patterns(&self) -> Vec<document::pattern::TablePattern> {
        let document = &self.document;
        let mut found: Vec<_> = document
            .all_grants()
            .flat_map(|grant| grant.on)
            .map(|object| object.table().clone())
            .collect();
        found.extend(document.filters.iter().flat_map(|rule| rule.on.iter().cloned()));
        found.extend(
            document
                .masks
                .iter()
                .flat_map(|rule| rule.on.iter().map(|on| on.table().clone())),
        );
        found.extend(document.row_secured.iter().cloned());
        found
    }

    /// The columns of a table that rules name.
    pub(crate) fn columns_spoken_of(&self, table: &TableName) -> BTreeSet<&str> {
        let masked = self.document.masks.iter().flat_map(|rule| &rule.on);
        let masked = masked
            .filter(|on| on.table().matches(table))
            .map(|on| on.column());
        let granted = self.document.grants.iter().flat_map(|rule| &rule.on);
        let granted = granted
            .filter(|on| on.table().matches(table))
            .map(|on| on.column());
        let named = masked.chain(granted).filter_map(|part| match part {
            Part::Exactly(name) => Some(name.as_str()),
            Part::Any => None,
        });
        named.collect()
    }

    /// The document as it was written.
    pub fn document(&self) -> &Document {
        &self.document
    }
}

/// The mappings, ready to be asked.
fn mappings(document: &Document) -> HashMap<String, HashMap<MappedValue, Vec<Literal>>> {
    let mut all = HashMap::new();
    for mapping in &document.mappings {
        let pairs: &mut HashMap<MappedValue, Vec<Literal>> = all.entry(mapping.name.clone()).or_default();
        for (key, value) in &mapping.rows {
            let value = match value {
                MappedValue::Integer(number) => Literal::Number(number.to_string()),
                MappedValue::Text(text) => Literal::Text(text.clone()),
            };
            pairs.entry(key.clone()).or_default().push(value);
        }
    }
    all
}

/// What is known of a principal.
struct About<'a> {
    principal: &'a Principal,
    mappings: &'a HashMap<String, HashMap<MappedValue, Vec<Literal>>>,
}

impl Facts for About<'_> {
    fn value(&self, attribute: &str) -> Option<Literal> {
        match attribute {
            "subject" => Some(Literal::Text(self.principal.subject().to_owned())),
            "tenant" => Some(Literal::Text(self.principal.tenant().to_owned())),
            name => match self.principal.attributes().get(name)? {
                Attribute::Boolean(value) => Some(Literal::Boolean(*value)),
                Attribute::Integer(number) => Some(Literal::Number(number.to_string())),
                Attribute::Text(text) => Some(Literal::Text(text.clone())),
                Attribute::Texts(_) | Attribute::Integers(_) => None,
            },
        }
    }

    fn members(&self, attribute: &str) -> Option<Vec<Literal>> {
        // These two are never lists, whatever an account calls its attributes.
        if matches!(attribute, "subject" | "tenant") {
            return None;
        }
        match self.principal.attributes().get(attribute)? {
            Attribute::Texts(texts) => Some(texts.iter().cloned().map(Literal::Text).collect()),
            Attribute::Integers(numbers) => {
                let digits = numbers.iter().map(ToString::to_string);
                Some(digits.map(Literal::Number).collect())
            }
            Attribute::Boolean(_) | Attribute::Integer(_) | Attribute::Text(_) => None,
        }
    }

    fn mapped(&self, mapping: &str, key: &Literal) -> Vec<Literal> {
        let key = match key {
            Literal::Text(text) => MappedValue::Text(text.clone()),
            Literal::Number(digits) => match digits.parse() {
                Ok(number) => MappedValue::Integer(number),
                Err(_) => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        let values = self.mappings.get(mapping).and_then(|pairs| pairs.get(&key));
        values.cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
