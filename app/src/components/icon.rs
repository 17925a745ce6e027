//! Icons: outlines of 16 px in the colour of the text.

use leptos::prelude::*;

/// The picture of an icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Check,
    Warning,
    Cross,
    Pause,
    Chevron,
    Dots,
    Menu,
    Bucket,
    List,
    Plug,
    Settings,
    Circle,
    Key,
    Download,
    Clock,
}

impl Shape {
    fn path(self) -> &'static str {
        match self {
            Self::Check => "M3 8.5l3.2 3.2L13 4.8",
            Self::Warning => "M8 2.2l6.3 11.3H1.7zM8 6.5v3.2M8 11.6v.1",
            Self::Cross => "M4 4l8 8M12 4l-8 8",
            Self::Pause => "M5.5 4v8M10.5 4v8",
            Self::Chevron => "M6 3.5L10.5 8 6 12.5",
            Self::Dots => "M8 3.4v.1M8 8v.1M8 12.5v.1",
            Self::Menu => "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
            Self::Bucket => "M2.5 4.5h11l-1.4 9H3.9zM2.5 4.5c0-1.4 2.5-2.3 5.5-2.3s5.5.9 5.5 2.3",
            Self::List => "M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4v.1M2.5 8v.1M2.5 12v.1",
            Self::Plug => "M6 2v3.5M10 2v3.5M4 5.5h8v2a4 4 0 01-8 0zM8 11.5V14",
            Self::Settings => "M2.5 5h6M11.5 5h2M2.5 11h2M7.5 11h6M10 3.5v3M6 9.5v3",
            Self::Download => "M8 2.5v7.5M4.8 7L8 10.2 11.2 7M2.5 13.5h11",
            Self::Key => "M5.5 7.5a3 3 0 100 6 3 3 0 000-6zM7.7 8.3l5.8-5.8M10.8 5.2l2 2",
            Self::Clock => "M8 2.5a5.5 5.5 0 100 11 5.5 5.5 0 000-11zM8 5v3.2l2.2 1.5",
            Self::Circle => "M8 3a5 5 0 100 10A5 5 0 008 3z",
        }
    }
}

/// An icon that is hidden from screen readers; a label is always next to it.
#[component]
pub fn Icon(shape: Shape) -> impl IntoView {
    view! {
        <svg class="icon" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
            <path d=shape.path()></path>
        </svg>
    }
}
