//! Switches that break the rules of the protocol.
//!
//! [`PROTOCOL`] keeps all rules. A negative control breaks one, and the checker must then find
//! a violation: otherwise searches that hold would prove nothing.

/// The behaviour of the clients and the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) fill: Fill,
    pub(crate) invalidation: Invalidation,
    pub(crate) capture: Capture,
    pub(crate) new_versions: NewVersions,
    pub(crate) tag_versions: TagVersions,
    pub(crate) tag_check: TagCheck,
    pub(crate) sharing: Sharing,
    pub(crate) successor: Successor,
    pub(crate) failed_load: FailedLoad,
    pub(crate) unknown_acquire: UnknownAcquire,
    pub(crate) renewal: Renewal,
    pub(crate) wakes: Wakes,
    pub(crate) plain_values: PlainValues,
    pub(crate) admission: Admission,
    pub(crate) flush: Flush,
    pub(crate) token_check: TokenCheck,
    pub(crate) vouching: Vouching,
    pub(crate) forgetting: Forgetting,
    pub(crate) trailers: Trailers,
    pub(crate) refresh: Refresh,
    pub(crate) not_modified: NotModified,
    pub(crate) after_error: AfterError,
    pub(crate) failing: Failing,
    pub(crate) softening: Softening,
    pub(crate) holding: Holding,
    pub(crate) taking: Taking,
    pub(crate) writer_store: WriterStore,
    pub(crate) batch: Batch,
    pub(crate) inherited: Inherited,
}

/// The rules of docs/protocol.md, as the engine keeps them.
pub(crate) const PROTOCOL: Rules = Rules {
    fill: Fill::Fenced,
    invalidation: Invalidation::RemovesLease,
    capture: Capture::BeforeLoad,
    new_versions: NewVersions::ForOneExecution,
    tag_versions: TagVersions::Unique,
    tag_check: TagCheck::AfterStore,
    sharing: Sharing::Fresh,
    successor: Successor::AcquiresAgain,
    failed_load: FailedLoad::KeepsLease,
    unknown_acquire: UnknownAcquire::Released,
    renewal: Renewal::Compares,
    wakes: Wakes::LeaseOrEntry,
    plain_values: PlainValues::Accepted,
    admission: Admission::IfClean,
    flush: Flush::OnReconnect,
    token_check: TokenCheck::WhenSent,
    vouching: Vouching::PreviousPing,
    forgetting: Forgetting::Twice,
    trailers: Trailers::NameTheFill,
    refresh: Refresh::Fenced,
    not_modified: NotModified::Stored,
    after_error: AfterError::ReadsAgain,
    failing: Failing::Compares,
    softening: Softening::Compares,
    holding: Holding::Marks,
    taking: Taking::RespectsHold,
    writer_store: WriterStore::EndsLease,
    batch: Batch::StoresBeforeWaiting,
    inherited: Inherited::OfPart,
};

/// The way a loaded value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// STORE, which compares the lease with the token.
    Fenced,
    /// Wrong (n2): SET by any client that once held the lock.
    UnderLock,
    /// Wrong (n1): SET without a lock.
    Naive,
}

/// The effect of an invalidation by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalidation {
    /// The entry and the lease.
    RemovesLease,
    /// Wrong (n3): the entry alone.
    LeavesLease,
}

/// The time at which the version of the tag is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    /// After the grant, before the load.
    BeforeLoad,
    /// After the load; the value is stored only if the version is older than the load. For tags
    /// that only the loaded value names.
    AfterLoadIfOlder,
    /// Wrong (n46): the same, and a version that CAPTURE has to set is taken for an old one.
    AfterLoadIfOlderOrNew,
    /// Wrong (n5): after the load.
    AfterLoad,
}

/// How often the new version in a CAPTURE may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewVersions {
    /// Once: a CAPTURE is not sent again.
    ForOneExecution,
    /// Wrong (n33): a CAPTURE that has set it is executed once more, at any later time.
    ForTwoExecutions,
}

/// The kind of tag versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagVersions {
    /// Unique; an invalidation removes the tag.
    Unique,
    /// Wrong (n6): a counter, which restarts after the tag is evicted.
    Counted,
}

/// Whether the tag is read again after STORE, for late joiners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagCheck {
    /// It is read again.
    AfterStore,
    /// Wrong (n26): a stored value is assumed to be fresh.
    Skipped,
}

/// The callers of a flight that receive its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Those for which it is valid by the freshness rule. The others lead the flight on.
    Fresh,
    /// Wrong (n28): late joiners, too, if the value was not stored.
    UnstoredToLateJoiners,
    /// Wrong (n29): late joiners, too, if the load failed.
    FailureToLateJoiners,
    /// Wrong (n7): all callers, and flights are never sealed.
    AnyFlight,
}

/// The work that a successor takes over from a cancelled leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Successor {
    /// The successor keeps the lease if there is one, and runs its own load; without a lease
    /// it sends a new ACQUIRE. This is what the engine does.
    AcquiresAgain,
    /// As above, but the successor waits for the answer to a request in flight, and uses it if
    /// it is valid for it (docs/protocol.md, "Hand-over").
    AwaitsAnswer,
    /// Wrong (n25): the successor uses that answer in any case.
    TrustsAnswer,
    /// Wrong (n16): the successor keeps the value that the cancelled leader has loaded.
    KeepsLoad,
}

/// The lease after a failed load with remaining callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailedLoad {
    /// The next leader keeps it. This is what the engine does.
    KeepsLease,
    /// It is released; the next leader begins with ACQUIRE.
    ReleasesLease,
}

/// The reaction of a client to an ACQUIRE that timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownAcquire {
    /// The client sends RELEASE and loads without a lease.
    Released,
    /// Wrong (n27): the client sends it again with the same token.
    SentAgain,
}

/// The effect of RENEW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It extends the lease if it contains the token.
    Compares,
    /// Wrong (n20): it sets the lease.
    Sets,
}

/// The event after which a waiter checks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wakes {
    /// The lease has ended or there is a new entry.
    LeaseOrEntry,
    /// Wrong (n30): only a new entry.
    OnlyEntry,
}

/// The treatment of plain writers' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainValues {
    /// A hit for calls without tags. With plain writers, G2 does not cover this (n12). Wrong
    /// (n34): for calls with tags, too.
    Accepted,
    /// A miss. For calls with tags they are a miss in either case.
    Rejected,
}

/// What the near tier of a process admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The reply to a read, unless a change was reported since it was sent.
    IfClean,
    /// Wrong (n8): any reply to a read.
    Always,
    /// Wrong (n10): what the process has stored, too.
    OwnStores,
}

/// What the near tier does when its connection is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// It forgets everything before the next read.
    OnReconnect,
    /// Wrong (n9): it goes on.
    Never,
}

/// When a near entry answers a call that presents a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenCheck {
    /// If its read was sent after the token was first presented.
    WhenSent,
    /// Wrong (n23): if it was admitted after that.
    AtAdmission,
    /// Wrong (n22): always.
    Ignored,
}

/// Which ping tells what the near tier's entries reflect, where the server broadcasts its reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vouching {
    /// The one before the last that was answered.
    PreviousPing,
    /// Wrong (n37): the last one. Its answer overtakes the reports of its turn.
    LastPing,
}

/// How often the near tier forgets what its own process invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgetting {
    /// Before the invalidation is sent, and again before it returns.
    Twice,
    /// Wrong (n36): before it is sent.
    Once,
}

/// What tells the trailers of two fills apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trailers {
    /// The fill id.
    NameTheFill,
    /// Wrong (n50): nothing, if version and tag are the same.
    DescribeTheValue,
}

/// The way a background refresh stores what it has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// Like any other fill.
    Fenced,
    /// Wrong (n39): SET, since there is an entry already.
    Unfenced,
}

/// The way the previous value is kept, once the loader has learned that it is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotModified {
    /// It is stored again, like any other fill.
    Stored,
    /// The metadata is replaced if the entry has the trailer that was seen. The lease isn't
    /// compared.
    ComparesTrailer,
    /// Wrong (n40): the previous value is SET with new metadata.
    Sets,
}

/// What callers with a soft-expired entry are given after a failed load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterError {
    /// What a new read finds, if it is a hit.
    ReadsAgain,
    /// Wrong (n41): what the leader read first.
    FirstRead,
    /// Wrong (n42): what a new read finds, whatever its tag.
    IgnoresTag,
    /// Wrong (n44): what a new read finds; joiners that came after it was sent, too.
    ReadSharedWithAll,
}

/// The effect of FAIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    /// It replaces the lease if it contains the token.
    Compares,
    /// Wrong (n43): it sets the mark.
    Sets,
}

/// The effect of SOFTEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Softening {
    /// It replaces the trailer that was read.
    Compares,
    /// Wrong (n21): it sets the entry that was read.
    Sets,
}

/// What an invalidation with hold leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holding {
    /// A mark, for longer than the replica lags.
    Marks,
    /// Wrong (n17): nothing.
    Nothing,
}

/// What TAKE does under a mark of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Nothing; its answer says so.
    RespectsHold,
    /// Wrong (n45): it takes the lease over.
    IgnoresHold,
}

/// What the STORE of an insert or a write-through leaves behind, where loaders read from a
/// lagging replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterStore {
    /// Nothing. No mark keeps old values out, once the entry is evicted or refreshed (n49, n51).
    EndsLease,
    /// The mark of a hold.
    LeavesMark,
}

/// When a batch loads the keys that it holds the leases of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// At once. It waits for others only when all of them are stored.
    StoresBeforeWaiting,
    /// Wrong (n47): once it holds the leases of all missing keys.
    WaitsBeforeStoring,
    /// Wrong (n52): at once, but it remains in the flights that it has joined, and runs a loader
    /// that it is handed only once it waits for nothing else.
    StaysJoined,
}

/// The version of the tag that a value is stored with if its load has read a part of it from
/// another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inherited {
    /// The one that the part is known to carry. The value is stored only if a CAPTURE after the
    /// load finds the same.
    OfPart,
    /// The same, without that CAPTURE.
    OfPartUnchecked,
    /// Wrong (n53): the one that the tag has when the load ends.
    AtEnd,
    /// Wrong (n54): the same, if it is older than the load.
    AtEndIfOlder,
    /// Wrong (n55): the one that the call has captured for itself, whatever the part carries.
    OfCall,
    /// Wrong (n56): of a part that another call has loaded, the one in the entry that is read
    /// for it, although the value is the one that was loaded.
    OfEntryReadAgain,
}
