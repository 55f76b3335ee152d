//! HTML elements whose text and attributes are always escaped.

use std::fmt::{Display, Write};

/// A fragment of HTML.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

/// Returns escaped text.
pub fn text(text: impl Display) -> Html {
    Html(escape(&text.to_string()))
}

/// Returns an element with attributes and children.
pub fn element(name: &str, attributes: &[(&str, &str)], children: impl IntoIterator<Item = Html>) -> Html {
    let mut html = format!("<{name}");
    for (key, value) in attributes {
        // Writing to memory does not fail.
        let _ = write!(html, " {key}=\"{}\"", escape(value));
    }
    html.push('>');
    children.into_iter().for_each(|child| html.push_str(&child.0));
    let _ = write!(html, "</{name}>");
    Html(html)
}

/// Returns an element with a class and a text.
pub fn text_element(name: &str, class: &str, content: impl Display) -> Html {
    element(name, &[("class", class)], [text(content)])
}

impl Html {
    /// Returns the markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<T: IntoIterator<Item = Html>>(fragments: T) -> Self {
        Self(fragments.into_iter().map(|fragment| fragment.0).collect())
    }
}

/// Kinds of columns: CSS classes that set the alignment.
pub const NAME: &str = "name";
/// A name that is always short.
pub const WORD: &str = "word";
pub const NUMBER: &str = "number";
pub const CHART: &str = "chart";

/// A column of a table: its heading and its kind.
pub type Column<'a> = (&'a str, &'a str);

/// Columns that fit on a phone. The style sheet turns the rows of wider tables into lists there, for which
/// each cell has the heading of its column as an attribute.
const NARROW: usize = 4;

/// Returns a table.
pub fn table(columns: &[Column<'_>], rows: impl IntoIterator<Item = Vec<Html>>) -> Html {
    let head = columns.iter().map(|(head, kind)| text_element("th", kind, head));
    let rows = rows.into_iter().map(|cells| {
        let cells = columns
            .iter()
            .zip(cells)
            .map(|((head, kind), cell)| element("td", &[("class", *kind), ("data-head", *head)], [cell]));
        element("tr", &[], cells)
    });
    let body = element("tbody", &[], rows);
    let width = if columns.len() > NARROW { "wide" } else { "narrow" };
    element("table", &[("class", width)], [element("thead", &[], [element("tr", &[], head)]), body])
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_are_escaped() {
        let html = element("p", &[("title", "\"><b>")], [text("<script>alert('&')</script>")]);
        assert_eq!(
            html.as_str(),
            "<p title=\"&quot;&gt;&lt;b&gt;\">&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</p>"
        );
    }
}
