//! One line per key: `section!` makes the struct of a table, its reading, and its rows of
//! `tero check --keys`.
//!
//! ```text
//! section! {
//!     /// What the table is about.
//!     #[derive(Clone, Debug)]
//!     [cache]
//!     pub struct Cache {
//!         /// What the key means.
//!         memory: u64 = "512MiB", Size("1MiB", "16TiB");
//!     }
//! }
//! ```
//!
//! A key is `field: Type = default, Form(bounds) => parse, list_rule(), …;`.
//!
//! - The table is written as in the file: `[cache]`, `[[site]]`, `[policy.limits]`. With
//!   `struct Site in base_dir`, the expressions of the keys see the folder of the file by that
//!   name. `place: FilePosition;` as the first field tells where the entry stands.
//! - The field has the name of the key, or says the key: `sitemaps as "sitemap"`.
//! - The default is `required`, a value of TOML, or `rule("words", expression)`, where the
//!   expression sees the fields above it. With `rule("words")` the field is an `Option`.
//! - The form is one of [`Form`](crate::keys::Form). `OneOf` pairs each word with its value, and
//!   `Nested` names the struct of a table within the table, `NestedList` that of an array of tables.
//!   `Nested(Table) => function` has the function read a text in the place of the table.
//! - `parse` turns what the form reads into the field, or tells the mistake. `by function` reads
//!   the key in its own way instead. A list rule is a method of
//!   [`TableReader`](crate::reader::TableReader).
//! - `or other_key, Text("words") => parse`, with a documentation of its own, is a second way to
//!   write the same field. Writing both is a mistake.

/// Makes a table of the configuration. The grammar stands at the top of this file.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $(#[derive($($derive:ident),+)])?
        [$($table:tt)+]
        pub struct $name:ident $(in $base_dir:ident)? {
            $($place:ident: FilePosition;)?
            $(
                $(#[doc = $doc:literal])+
                $field:ident $(as $key:literal)?: $type:ty = $default:tt $(($($rule:tt)+))?,
                $form:ident $(($($bounds:tt)+))?
                $(by $by:path)?
                $(=> $parse:expr $(, $list_rule:ident $arguments:tt)*)?
                $(,
                    $(#[doc = $other_doc:literal])+
                    or $other:ident, Text($other_words:literal) => $other_parse:expr
                )?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[doc = concat!("\n\n`", section!(@header $($table)+), "` of the configuration.")]
        $(#[derive($($derive),+)])?
        pub struct $name {
            $(
                /// Where the entry stands in the file.
                pub $place: $crate::mistakes::FilePosition,
            )?
            $(
                $(#[doc = $doc])+
                #[doc = concat!(
                    "\n\n`", section!(@key $field $($key)?), "`",
                    $(" or `", stringify!($other), "`",)?
                    section!(@form_words $form $(($($bounds)+))?),
                    section!(@default_words $default $(($($rule)+))?),
                )]
                pub $field: $type,
            )+
        }

        impl $name {
            /// The table and its keys.
            pub const SECTION: $crate::keys::Section = $crate::keys::Section {
                header: section!(@header $($table)+),
                name: section!(@name $($table)+),
                doc: $crate::section::without_first_space(concat!($($about),+)),
                keys: &[$(
                    $crate::keys::key(
                        section!(@key $field $($key)?),
                        section!(@form $form $(($($bounds)+))?),
                        section!(@fallback $default $(($($rule)+))?),
                        $crate::section::without_first_space(concat!($($doc),+)),
                    ),
                    $(
                        $crate::keys::key(
                            stringify!($other),
                            $crate::keys::Form::Text($other_words),
                            $crate::keys::Fallback::Rule("none"),
                            $crate::section::without_first_space(concat!($($other_doc),+)),
                        ),
                    )?
                )+],
            };

            /// The keys whose values differ from those in `other`.
            pub fn changed_keys(&self, other: &$name) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $(
                    if self.$field != other.$field {
                        keys.push(section!(@key $field $($key)?));
                    }
                )+
                keys
            }

            /// Reads the table. Mistakes are recorded by `reader`, and the default stands in.
            pub(crate) fn read(
                reader: &$crate::reader::TableReader<'_>,
                base_dir: $crate::files::BaseDir<'_>,
            ) -> $name {
                $(let $base_dir = base_dir;)?
                let _ = base_dir;
                $(
                    let key = section!(@key $field $($key)?);
                    let read = section!(
                        @read (reader, key, base_dir)
                        $form $(($($bounds)+))?
                        $(by $by)?
                        $(=> $parse $(, $list_rule $arguments)*)?
                    );
                    $(
                        reader.refuse_both(key, stringify!($other));
                        let read = reader.text_as(stringify!($other), $other_parse).or(read);
                    )?
                    let $field: $type = section!(@finish read, $default $(($($rule)+))?);
                )+
                $name { $($place: reader.position(),)? $($field),+ }
            }
        }
    };

    // The table as text: `site.refresh_ahead`, and with its brackets.
    (@name [$($name:tt)+]) => { section!(@name $($name)+) };
    (@name $first:ident $(. $rest:ident)*) => {
        concat!(stringify!($first) $(, ".", stringify!($rest))*)
    };
    (@header [$($name:tt)+]) => { concat!("[[", section!(@name $($name)+), "]]") };
    (@header $($name:tt)+) => { concat!("[", section!(@name $($name)+), "]") };

    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };

    (@form OneOf($($word:literal => $value:expr),+)) => { $crate::keys::Form::OneOf(&[$($word),+]) };
    (@form SomeOf($($word:literal),+)) => { $crate::keys::Form::SomeOf(&[$($word),+]) };
    (@form Nested($table:ty)) => { $crate::keys::Form::Nested(&<$table>::SECTION) };
    (@form NestedList($table:ty)) => { $crate::keys::Form::NestedList(&<$table>::SECTION) };
    (@form $form:ident $(($($bounds:tt)+))?) => { $crate::keys::Form::$form $(($($bounds)+))? };

    (@fallback required) => { $crate::keys::Fallback::Required };
    (@fallback rule($words:literal $(, $value:expr)?)) => { $crate::keys::Fallback::Rule($words) };
    (@fallback $default:tt) => { $crate::keys::Fallback::Value(stringify!($default)) };

    // The same two for the documentation of the field.
    (@form_words Text($words:literal)) => { concat!(": ", $words) };
    (@form_words Texts($words:literal)) => { concat!(": a list of: ", $words) };
    (@form_words OneOf($($word:literal => $value:expr),+)) => {
        concat!(": one of" $(, " `", $word, "`")+)
    };
    (@form_words SomeOf($($word:literal),+)) => { concat!(": a list of any of" $(, " `", $word, "`")+) };
    (@form_words $form:ident($min:literal, $max:literal)) => { concat!(": ", $min, " to ", $max) };
    (@form_words $($form:tt)+) => { "" };
    (@default_words required) => { ". Required." };
    (@default_words rule($words:literal $(, $value:expr)?)) => { concat!(". Default: ", $words, ".") };
    (@default_words $default:tt) => { concat!(". Default: `", stringify!($default), "`.") };

    // What the form reads: `None` if the key is missing or refused and has no fixed default.
    (@read ($reader:ident, $key:ident, $base_dir:ident) $form:ident $bounds:tt by $by:path) => {
        $by($reader, $key)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Text $words:tt => $parse:expr) => {
        $reader.text_as($key, $parse).map(Into::into)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Texts $words:tt => $parse:expr
        $(, $list_rule:ident($($argument:expr),*))*) => {{
        let texts = $reader.texts_as($key, $parse);
        $($reader.$list_rule($key, &texts $(, $argument)*);)*
        Some($crate::reader::values(texts))
    }};
    (@read ($reader:ident, $key:ident, $base_dir:ident) Flag) => { Some($reader.flag($key)) };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Count $bounds:tt) => {
        $reader.count_as($key, $crate::reader::fits)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Number $bounds:tt) => {
        $reader.number($key)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Duration $bounds:tt) => {
        $reader.duration($key)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Size $bounds:tt) => {
        $reader.size_as($key, $crate::reader::fits)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Size $bounds:tt => $parse:expr) => {
        $reader.size_as($key, $parse)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) OneOf($($word:literal => $value:expr),+)) => {
        $reader.one_of($key, &[$(($word, $value)),+])
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) SomeOf $words:tt => $parse:expr) => {
        Some($parse(&$reader.words($key)))
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Table => $parse:expr) => {
        $reader.table_as($key, $parse)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Nested($table:ty) => $short:expr) => {
        match $reader.short_form($key, $short) {
            Some(short) => short,
            None => section!(@read ($reader, $key, $base_dir) Nested($table)),
        }
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Nested($table:ty)) => {
        $reader.nested($key).map(|nested| <$table>::read(&nested, $base_dir))
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) NestedList($table:ty)) => {{
        let tables = $reader.nested_list($key);
        let tables: Vec<$table> = tables
            .iter()
            .map(|table| <$table>::read(table, $base_dir))
            .collect();
        Some(tables)
    }};

    // The field. A required key that is missing was refused, and an empty value stands in.
    (@finish $read:ident, required) => { $read.unwrap_or_default() };
    (@finish $read:ident, rule($words:literal)) => { $read };
    (@finish $read:ident, rule($words:literal, $value:expr)) => {
        match $read {
            Some(value) => value,
            None => $value,
        }
    };
    (@finish $read:ident, $default:tt) => { $read.expect("the default of a key is good") };
}

/// The text of a documentation comment without the space that follows its slashes. Further lines
/// keep theirs, which joins them to the line before.
pub(crate) const fn without_first_space(doc: &'static str) -> &'static str {
    doc.split_at(1).1
}
