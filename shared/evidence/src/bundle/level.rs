//! How much of a body each level of disclosure opens.

use crate::body::Group;
use crate::disclosed::GroupSet;
use crate::leaf::Kind;

/// The level at which everything is opened.
pub const LEVEL_MAX: u8 = 4;

/// The groups that a level opens for an entry of this kind.
///
/// Level 0 shows no entries, 1 headers only, 2 what was asked for and done, 3 also by whom, 4 everything. The documents
/// people sign, and the queries of auditors, name people and reasons: their `what` opens only where these may be seen.
#[must_use]
pub fn open_groups(level: u8, kind: Kind) -> &'static [Group] {
    use Group::{Mask, Net, Obj, Out, What, Who};
    let signed = matches!(
        kind,
        Kind::RequestCreate | Kind::ReviewApprove | Kind::ReviewReject | Kind::BreakglassReview
    );
    let queries = matches!(kind, Kind::AuditRead | Kind::AuditExport);
    match (level, signed, queries) {
        (0 | 1, ..) => &[],
        (2, true, _) | (2, _, true) => &[Obj, Out, Mask],
        (2, ..) => &[What, Obj, Out, Mask],
        (3, true, _) => &[Who, Net, Obj, Out, Mask],
        (3, ..) => &[Who, Net, What, Obj, Out, Mask],
        _ => &Group::ALL,
    }
}

pub(super) fn open_set(level: u8, kind: Kind) -> GroupSet {
    GroupSet::of(open_groups(level, kind))
}
