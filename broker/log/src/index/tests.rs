#![expect(clippy::unwrap_used, reason = "tests")]
use proptest::prelude::*;

use super::*;

fn header(kind: Kind) -> Header {
    Header::new(kind)
}

#[derive(Debug, Clone)]
struct Entry {
    header: Header,
    request: Option<&'static str>,
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let kinds = vec![Kind::FetchIntent, Kind::ReviewApprove, Kind::RequestCreate, Kind::Erase];
    let entry = (
        proptest::sample::select(kinds),
        proptest::option::of(proptest::sample::select(&["ada", "bob", "eve"][..])),
        proptest::option::of(proptest::sample::select(&["orders", "customers", "customers,orders"][..])),
        proptest::option::of(proptest::sample::select(&["req_1", "req_2"][..])),
    );
    let entry = entry.prop_map(|(kind, act, ds, request)| {
        let mut header = header(kind);
        header.act = act.map(ToOwned::to_owned);
        header.ds = ds.map(ToOwned::to_owned);
        Entry { header, request }
    });
    proptest::collection::vec(entry, 0..60)
}

fn applies(question: &Question<'_>, entry: &Entry) -> bool {
    let filter = chunk_evidence::bundle::Filter {
        actors: question.actors.map(<[String]>::to_vec),
        dataset: question.dataset.map(ToOwned::to_owned),
        kind: question.kind.map(ToOwned::to_owned),
        request: None,
    };
    filter.matches(entry.header.kind, entry.header.act.as_deref(), entry.header.ds.as_deref())
        && question.request.is_none_or(|request| entry.request == Some(request))
}

proptest! {
    /// An index answers what looking at every entry would, also across the edge of a bitmap.
    #[test]
    fn it_finds_what_a_search_through_everything_finds(
        entries in entries(),
        before in 65_500_u64..65_540,
        actors in proptest::option::of(proptest::sample::subsequence(vec!["ada".to_owned(), "bob".to_owned(), "zoe".to_owned()], 0..3)),
        dataset in proptest::option::of(proptest::sample::select(&["orders", "customers", "none"][..])),
        kind in proptest::option::of(proptest::sample::select(&["fetch", "review.approve", "erase", "session"][..])),
        request in proptest::option::of(proptest::sample::select(&["req_1", "req_9"][..])),
        cut in 0_u64..30,
        max in 0_usize..20,
    ) {
        let mut index = Index::default();
        for _ in 0..before {
            index.push(&header(Kind::BrokerStop), None);
        }
        for entry in &entries {
            index.push(&entry.header, entry.request);
        }
        let question = Question { actors: actors.as_deref(), dataset, kind, request };
        let range = before + cut..before + entries.len() as u64;
        let applying = (before..).zip(&entries).filter(|(index, entry)| range.contains(index) && applies(&question, entry));
        let mut expected: Vec<u64> = applying.map(|(index, _)| index).collect();
        expected.reverse();
        expected.truncate(max);
        prop_assert_eq!(index.find(&question, range, max), expected);
    }
}

#[test]
fn a_session_has_what_was_recorded_under_it_and_how_its_fetches_ended() {
    let mut index = Index::default();
    let under = |kind, sid: Option<&str>, refs: &[u64]| {
        let mut header = header(kind);
        header.sid = sid.map(ToOwned::to_owned);
        header.refs = refs.to_vec();
        header
    };
    index.push(&under(Kind::SessionOpen, Some("ses_a"), &[]), None);
    index.push(&under(Kind::SessionOpen, Some("ses_b"), &[]), None);
    index.push(&under(Kind::FetchIntent, Some("ses_a"), &[0]), Some("req_1"));
    index.push(&under(Kind::FetchIntent, Some("ses_b"), &[1]), Some("req_2"));
    index.push(&under(Kind::FetchProgress, None, &[3]), None);
    index.push(&under(Kind::FetchProgress, None, &[2]), None);
    index.push(&under(Kind::FetchOutcome, None, &[2]), None);
    index.push(&under(Kind::FetchOutcome, None, &[3]), None);
    assert_eq!(index.session("ses_a"), [0, 2, 5, 6]);
    assert_eq!(index.session("ses_b"), [1, 3, 4, 7]);
    assert_eq!(index.session("ses_c"), [0; 0]);
    assert!(index.running.is_empty());
}

#[test]
fn an_entry_takes_few_bytes() {
    let kinds = [Kind::FetchIntent, Kind::FetchOutcome, Kind::RequestCreate, Kind::ReviewApprove];
    let mut index = Index::default();
    let mut header = header(Kind::FetchIntent);
    for n in 0..ENTRIES {
        header.kind = *kinds.get(n % kinds.len()).unwrap();
        header.act = Some(format!("act_{}", n % 120));
        header.ds = Some(if n == 5 { "rare" } else { "customers" }.to_owned());
        index.push(&header, None);
    }
    let rare = Question {
        dataset: Some("rare"),
        kind: Some("fetch"),
        ..Question::default()
    };
    assert_eq!(index.find(&rare, 0..u64::MAX, 10), [5]);
    let postings = index.actors.values().chain(index.datasets.values()).chain(index.kinds.values());
    let bytes: u64 = postings
        .flat_map(|postings| &postings.0)
        .map(|(_, bits)| bits.serialized_size() as u64)
        .sum();
    assert!(bytes < 4 * ENTRIES as u64, "{bytes} bytes for {ENTRIES} entries");
}

const ENTRIES: usize = 300_000;
