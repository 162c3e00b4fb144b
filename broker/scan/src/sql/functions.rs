//! Which functions a caller may use.
//!
//! Listed one by one: pure functions of their arguments, plus the time of the query. What reads settings, files, versions
//! or chance, builds nested values, or makes tables is not here, and a new release of the engine adds nothing by itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use datafusion::functions::all_default_functions;
use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::functions_window::all_default_window_functions;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use super::sized::{self, Growth};

/// Whether a function of this name (or alias), lower case, may be called.
pub(crate) fn is_allowed(name: &str) -> bool {
    NAMES.contains(name)
}

/// Whether the result of a function of this name may be larger than what it is given.
pub(crate) fn is_growing(name: &str) -> bool {
    GROUPS.get(name).is_some_and(|names| names.iter().any(|n| Growth::of(n).is_some()))
}

/// Every name of the function that has this one; none if there is no such function.
pub(crate) fn names_of(name: &str) -> Vec<String> {
    GROUPS.get(name).cloned().unwrap_or_default()
}

/// The allowed scalar functions; those that can make much of little refuse to.
pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    all_default_functions()
        .into_iter()
        .filter(|f| SCALAR.contains(&f.name()))
        .map(sized::bounded)
        .collect()
}

/// The allowed aggregate functions.
pub(crate) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    all_default_aggregate_functions()
        .into_iter()
        .filter(|f| AGGREGATE.contains(&f.name()))
        .collect()
}

/// The allowed window functions.
pub(crate) fn window() -> Vec<Arc<WindowUDF>> {
    all_default_window_functions()
        .into_iter()
        .filter(|f| WINDOW.contains(&f.name()))
        .collect()
}

static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut names = HashSet::new();
    for f in scalar() {
        names.insert(f.name().to_owned());
        names.extend(f.aliases().iter().cloned());
    }
    for f in aggregate() {
        names.insert(f.name().to_owned());
        names.extend(f.aliases().iter().cloned());
    }
    for f in window() {
        names.insert(f.name().to_owned());
        names.extend(f.aliases().iter().cloned());
    }
    names
});

/// Name → all names of the same function.
static GROUPS: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
    let mut groups: HashMap<String, Vec<String>> = HashMap::new();
    let mut add = |name: &str, aliases: &[String]| {
        let mut names: Vec<String> = aliases.iter().cloned().chain([name.to_owned()]).collect();
        names.extend(SYNTAX.iter().filter(|(f, _)| *f == name).map(|(_, s)| (*s).to_owned()));
        for each in &names {
            groups.entry(each.clone()).or_default().extend(names.iter().cloned());
        }
    };
    scalar().iter().for_each(|f| add(f.name(), f.aliases()));
    aggregate().iter().for_each(|f| add(f.name(), f.aliases()));
    window().iter().for_each(|f| add(f.name(), f.aliases()));
    add(sized::JOINED, &["concat".to_owned()]);
    for names in groups.values_mut() {
        names.retain(|n| n != sized::JOINED);
        names.sort();
        names.dedup();
    }
    groups
});

/// Functions that have a syntax of their own, by its name.
const SYNTAX: &[(&str, &str)] = &[("date_part", "extract")];

#[rustfmt::skip]
const SCALAR: &[&str] = &[
    // Text.
    "ascii", "bit_length", "btrim", "character_length", "chr", "concat", "concat_ws", "contains", "ends_with", "find_in_set",
    "initcap", "left", "levenshtein", "lower", "lpad", "ltrim", "octet_length", "overlay", "repeat", "replace", "reverse",
    "right", "rpad", "rtrim", "split_part", "starts_with", "strpos", "substr", "substr_index", "to_hex",
    "translate", "upper", "regexp_count", "regexp_instr", "regexp_like", "regexp_replace", "encode", "decode",
    // Dates and times.
    "current_date", "current_time", "date_bin", "date_part", "date_trunc", "from_unixtime", "make_date", "make_time", "now",
    "to_char", "to_date", "to_local_time", "to_time", "to_timestamp", "to_timestamp_micros", "to_timestamp_millis",
    "to_timestamp_nanos", "to_timestamp_seconds", "to_unixtime",
    // Numbers.
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "cos", "cosh", "cot", "degrees", "exp",
    "factorial", "floor", "gcd", "isnan", "iszero", "lcm", "ln", "log", "log10", "log2", "nanvl", "pi", "power", "radians",
    "round", "signum", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
    // Choice.
    "coalesce", "greatest", "least", "nullif", "nvl", "nvl2",
];

#[rustfmt::skip]
const AGGREGATE: &[&str] = &[
    "any_value", "approx_distinct", "approx_median", "approx_percentile_cont", "avg", "bit_and", "bit_or", "bit_xor",
    "bool_and", "bool_or", "corr", "count", "covar_pop", "covar_samp", "first_value", "grouping", "last_value", "max", "median",
    "min", "nth_value", "percentile_cont", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2", "regr_slope",
    "regr_sxx", "regr_sxy", "regr_syy", "stddev", "stddev_pop", "string_agg", "sum", "var", "var_pop",
];

#[rustfmt::skip]
const WINDOW: &[&str] = &[
    "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile", "percent_rank", "rank",
    "row_number",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_function_exists() {
        let scalar: HashSet<String> = all_default_functions().iter().map(|f| f.name().to_owned()).collect();
        let aggregate: HashSet<String> = all_default_aggregate_functions().iter().map(|f| f.name().to_owned()).collect();
        let window: HashSet<String> = all_default_window_functions().iter().map(|f| f.name().to_owned()).collect();
        let missing: Vec<&&str> = SCALAR.iter().filter(|n| !scalar.contains(**n)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let missing: Vec<&&str> = AGGREGATE.iter().filter(|n| !aggregate.contains(**n)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let missing: Vec<&&str> = WINDOW.iter().filter(|n| !window.contains(**n)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn no_allowed_function_reads_more_than_its_arguments() {
        use datafusion::logical_expr::Volatility;
        for f in scalar() {
            assert_ne!(f.signature().volatility, Volatility::Volatile, "{}", f.name());
        }
        for name in [
            "version",
            "random",
            "uuid",
            "input_file_name",
            "arrow_cast",
            "arrow_typeof",
            "array_agg",
            "named_struct",
            "struct",
        ] {
            assert!(!is_allowed(name), "{name}");
        }
    }
}
