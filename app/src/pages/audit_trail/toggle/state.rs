//! The state of a destination's toggle.

use auditstream_model::{AggregateItem, EpochMillis, Status};

/// The message of a toggle after it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToggleMessage {
    Saved(String),
    Refused(String),
}

impl ToggleMessage {
    /// Returns the text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Saved(text) | Self::Refused(text) => text,
        }
    }
}

/// The state of a destination's toggle. It shows the requested status from the click until the page
/// has loaded it, and its message until the destination changes in any other way.
///
/// ```text
///            request            finish(Ok)               observe(requested status)
/// loaded ──────────────► saving ──────────► saved ──────────────────────────────► loaded
///                           └─ finish(Err) ─────────────────────────────────────────▲
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToggleState {
    loaded: Loaded,
    requested: Option<Status>,
    /// The status of the latest request, whether it is loaded or not.
    last_requested: Option<Status>,
    is_saving: bool,
    message: Option<ToggleMessage>,
}

/// The parts of a destination that a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Loaded {
    status: Status,
    failed_at: Option<EpochMillis>,
}

impl Loaded {
    fn new(item: &AggregateItem) -> Self {
        Self {
            status: item.streaming_destination.status,
            failed_at: item.streaming_details.failure.as_ref().map(|failure| failure.at),
        }
    }
}

impl ToggleState {
    /// Creates the state of a destination as the page has loaded it.
    #[must_use]
    pub fn new(item: &AggregateItem) -> Self {
        Self {
            loaded: Loaded::new(item),
            requested: None,
            last_requested: None,
            is_saving: false,
            message: None,
        }
    }

    /// Returns the status to show.
    #[must_use]
    pub fn status(&self) -> Status {
        self.requested.unwrap_or(self.loaded.status)
    }

    /// Returns the status that the toggle would set.
    #[must_use]
    pub fn other(&self) -> Status {
        match self.status() {
            Status::Active => Status::Inactive,
            Status::Inactive => Status::Active,
        }
    }

    /// Returns whether a request is in flight.
    #[must_use]
    pub fn is_saving(&self) -> bool {
        self.is_saving
    }

    /// Returns the message to show, if there is one.
    #[must_use]
    pub fn message(&self) -> Option<&ToggleMessage> {
        self.message.as_ref()
    }

    /// Handles a click. Returns the status to save, or `None` while a request is in flight.
    pub fn request(&mut self) -> Option<Status> {
        if self.is_saving {
            return None;
        }
        let status = self.other();
        self.requested = Some(status);
        self.last_requested = Some(status);
        self.is_saving = true;
        self.message = None;
        Some(status)
    }

    /// Handles the outcome of the request: its message, or the reason why it was refused.
    pub fn finish(&mut self, outcome: Result<String, String>) {
        self.is_saving = false;
        match outcome {
            Ok(text) => self.message = Some(ToggleMessage::Saved(text)),
            Err(text) => {
                self.requested = None;
                self.message = Some(ToggleMessage::Refused(text));
            }
        }
        self.settle();
    }

    /// Handles a destination that has been loaded again.
    pub fn observe(&mut self, item: &AggregateItem) {
        self.observe_loaded(Loaded::new(item));
    }

    fn observe_loaded(&mut self, now: Loaded) {
        let before = std::mem::replace(&mut self.loaded, now);
        if before != now {
            let is_expected = before.failed_at == now.failed_at && self.last_requested == Some(now.status);
            if !is_expected && matches!(self.message, Some(ToggleMessage::Saved(_))) {
                self.message = None;
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        if !self.is_saving && self.requested == Some(self.loaded.status) {
            self.requested = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use auditstream_model::Status::{Active, Inactive};

    use super::*;

    fn loaded(status: Status, failed_at: Option<EpochMillis>) -> Loaded {
        Loaded { status, failed_at }
    }

    fn inactive() -> ToggleState {
        ToggleState {
            loaded: loaded(Inactive, None),
            requested: None,
            last_requested: None,
            is_saving: false,
            message: None,
        }
    }

    impl ToggleState {
        fn text(&self) -> Option<&str> {
            self.message().map(ToggleMessage::text)
        }
    }

    #[test]
    fn the_requested_status_is_shown_until_it_is_loaded() {
        let mut toggle = inactive();
        assert_eq!(toggle.request(), Some(Active));
        assert_eq!((toggle.status(), toggle.is_saving()), (Active, true));
        toggle.observe_loaded(loaded(Inactive, None));
        assert_eq!(toggle.status(), Active);
        toggle.finish(Ok("Active.".to_owned()));
        assert_eq!((toggle.status(), toggle.text()), (Active, Some("Active.")));
        toggle.observe_loaded(loaded(Active, None));
        assert_eq!((toggle.requested, toggle.text()), (None, Some("Active.")));
    }

    #[test]
    fn a_second_click_while_saving_does_nothing() {
        let mut toggle = inactive();
        assert_eq!(toggle.request(), Some(Active));
        assert_eq!(toggle.request(), None);
        assert_eq!(toggle.status(), Active);
    }

    #[test]
    fn a_refusal_restores_the_status_and_stays() {
        let mut toggle = inactive();
        toggle.request();
        toggle.finish(Err("Not permitted.".to_owned()));
        assert_eq!((toggle.status(), toggle.text()), (Inactive, Some("Not permitted.")));
        toggle.observe_loaded(loaded(Inactive, Some(1)));
        assert_eq!(toggle.text(), Some("Not permitted."));
    }

    #[test]
    fn a_message_goes_once_the_destination_changes_elsewhere_or_fails() {
        for change in [loaded(Inactive, None), loaded(Active, Some(1))] {
            let mut toggle = inactive();
            toggle.request();
            toggle.finish(Ok("Active.".to_owned()));
            toggle.observe_loaded(loaded(Active, None));
            toggle.observe_loaded(change);
            assert_eq!((toggle.status(), toggle.text()), (change.status, None));
        }
    }

    #[test]
    fn a_status_that_was_loaded_while_saving_is_not_kept_as_requested() {
        let mut toggle = inactive();
        toggle.request();
        toggle.observe_loaded(loaded(Active, None));
        toggle.finish(Ok("Active.".to_owned()));
        assert_eq!(toggle.requested, None);
        toggle.observe_loaded(loaded(Inactive, None));
        assert_eq!(toggle.status(), Inactive);
    }
}
