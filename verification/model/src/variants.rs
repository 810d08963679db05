//! The switches that break a rule of the protocol.
//!
//! [`PROTOCOL`] keeps all of them. A negative control turns one, and the checker must then
//! find the property that it violates: otherwise a model that holds would prove nothing.

/// How the clients and the server behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) fill: Fill,
    pub(crate) invalidation: Invalidation,
    pub(crate) capture: Capture,
    pub(crate) new_versions: NewVersions,
    pub(crate) tag_versions: TagVersions,
    pub(crate) tag_check: TagCheck,
    pub(crate) sharing: Sharing,
    pub(crate) heir: Heir,
    pub(crate) failed_load: FailedLoad,
    pub(crate) unknown_acquire: UnknownAcquire,
    pub(crate) renewal: Renewal,
    pub(crate) wakes: Wakes,
    pub(crate) plain_values: PlainValues,
}

/// The rules of docs/protocol.md, as the engine keeps them.
pub(crate) const PROTOCOL: Rules = Rules {
    fill: Fill::Fenced,
    invalidation: Invalidation::RemovesLease,
    capture: Capture::BeforeLoad,
    new_versions: NewVersions::ForOneExecution,
    tag_versions: TagVersions::Unique,
    tag_check: TagCheck::AfterStore,
    sharing: Sharing::Vouched,
    heir: Heir::AsksAnew,
    failed_load: FailedLoad::PassesLeaseOn,
    unknown_acquire: UnknownAcquire::Released,
    renewal: Renewal::Compares,
    wakes: Wakes::LeaseOrEntry,
    plain_values: PlainValues::Accepted,
};

/// How a loaded value gets into Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// STORE, which compares the lease with the token.
    Fenced,
    /// Wrong (n2): SET by whoever once held the lock.
    UnderLock,
    /// Wrong (n1): SET by anybody, without a lock.
    Naive,
}

/// What the invalidation of a key removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalidation {
    /// The entry and the lease.
    RemovesLease,
    /// Wrong (n3): the entry alone.
    LeavesLease,
}

/// When the version of the tag is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    /// After the grant, before the load.
    BeforeLoad,
    /// Wrong (n5): after the load.
    AfterLoad,
}

/// How often the new version that a TAGCAP brings along may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewVersions {
    /// Once: a TAGCAP is not sent again as it was.
    ForOneExecution,
    /// Wrong (n33): a TAGCAP that has set it is executed once more, at any later time.
    ForTwoExecutions,
}

/// What a tag's versions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagVersions {
    /// Never used twice; an invalidation removes the tag.
    Unique,
    /// Wrong (n6): a counter, which begins again once the tag is evicted.
    Counted,
}

/// Whether the tag is read once more behind STORE, for the sake of late joiners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagCheck {
    /// It is.
    AfterStore,
    /// Wrong (n26): that the value was stored is taken as proof.
    Skipped,
}

/// Which callers of a flight are given its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Those for whom the rule of vouching speaks. The others lead the flight on.
    Vouched,
    /// Wrong (n28): those who came after the load began, too, where it was not stored.
    UnstoredToLateJoiners,
    /// Wrong (n29): those who came after the load began, too, where it failed.
    FailureToLateJoiners,
    /// Wrong (n7): everyone, and flights are never closed.
    AnyFlight,
}

/// What becomes of the work of a leader that is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heir {
    /// The heir goes on under the lease if there is one, with a load of its own; without
    /// one it asks anew. So does the engine.
    AsksAnew,
    /// As above, but the heir takes the answer to a request that is under way, as far as
    /// it is valid for it (docs/protocol.md, "Hand-over").
    AwaitsAnswer,
    /// Wrong (n25): the heir takes that answer in any case.
    TrustsAnswer,
    /// Wrong (n16): the heir takes what the cancelled leader had loaded.
    KeepsLoad,
}

/// What becomes of the lease when the load fails and callers are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailedLoad {
    /// The one that leads on loads under it. So does the engine.
    PassesLeaseOn,
    /// RELEASE; the one that leads on begins with ACQUIRE.
    GivesLeaseUp,
}

/// What a client does about an ACQUIRE that was not answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownAcquire {
    /// It sends RELEASE and loads without a lease.
    Released,
    /// Wrong (n27): it sends it again with the same token.
    SentAgain,
}

/// What RENEW does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It extends the lease that holds the token.
    Compares,
    /// Wrong (n20): it sets the lease.
    Sets,
}

/// When one who waits for another's lease looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wakes {
    /// Once the lease has ended or a new entry stands at the key.
    LeaseOrEntry,
    /// Wrong (n30): only once an entry stands at the key.
    OnlyEntry,
}

/// What the values of plain writers count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainValues {
    /// A hit, to calls without tags. Where plain writers exist, this is what G2 does not
    /// cover (n12). Wrong (n34): to calls with tags, too.
    Accepted,
    /// A miss. To calls with tags they are one in either case.
    Rejected,
}
