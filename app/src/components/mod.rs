//! Plain controls. Each owns its markup and a CSS class of the same name.

mod copy_button;
pub mod dialog;
mod field;
pub mod focus;
mod form_errors;
pub mod format;
mod icon;
mod menu;
mod page_head;
mod problem;
mod skeleton;
mod tags;
pub mod time;
mod unsaved;

pub use copy_button::CopyButton;
pub use dialog::{ConfirmDialog, Dialog, FormDialog};
pub use field::{CheckField, Field, SelectField, TextField};
pub use form_errors::FormErrors;
pub use icon::{Icon, Shape};
pub use menu::{Menu, MenuItem};
pub use page_head::PageHead;
pub use problem::ProblemAlert;
pub use skeleton::TableSkeleton;
pub use tags::{TagsField, TagsInput};
pub use time::TimeAgo;
pub use unsaved::Unsaved;
