//! One line per key: the `section!` macro makes a table's struct, the reading of the table, and its
//! rows of `tero check --keys`.
//!
//! ```text
//! section! {
//!     /// What the table is about.
//!     #[derive(Clone, Debug)]
//!     [cache]
//!     pub struct Cache {
//!         /// What the key means.
//!         name: Type = default, Form(bounds) => parse, rule_of_the_list();
//!     }
//! }
//! ```
//!
//! - The table is written as in the file: `[cache]`, `[[site]]`, `[policy.limits]`. With
//!   `struct Site in base_dir`, the expressions of the keys may use the folder of the file by that
//!   name. `place: FilePosition;` as the first field says where the entry stands.
//! - The default is `required`, a value as TOML, or `rule("words", expression)`. The expression may
//!   use the fields above it. Without one the field is an `Option`.
//! - The form is one of [`Form`](crate::keys::Form). `OneOf` pairs each word with its value, and
//!   `Nested` names the struct of a table within the table.
//! - `parse` makes the field of what the form reads, or tells the mistake. `by` reads the key in
//!   its own way. Rules of a list are methods of [`TableReader`](crate::reader::TableReader).
//! - `or other_key, Text("words") => parse`, with its own documentation, is a second way to write
//!   the same field. Writing both is a mistake.

/// Makes a table of the configuration; see the module.
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
                doc: $crate::keys::trimmed(concat!($($about),+)),
                keys: &[$(
                    $crate::keys::key(
                        section!(@key $field $($key)?),
                        section!(@form $form $(($($bounds)+))?),
                        section!(@fallback $default $(($($rule)+))?),
                        $crate::keys::trimmed(concat!($($doc),+)),
                    ),
                    $(
                        $crate::keys::key(
                            stringify!($other),
                            $crate::keys::Form::Text($other_words),
                            $crate::keys::Fallback::Rule("none"),
                            $crate::keys::trimmed(concat!($($other_doc),+)),
                        ),
                    )?
                )+],
            };

            /// Reads the table. Mistakes go to those of `reader`, and the default stands in.
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
    (@form $form:ident $(($($bounds:tt)+))?) => { $crate::keys::Form::$form $(($($bounds)+))? };

    (@form_words Text($words:literal)) => { concat!(": ", $words) };
    (@form_words Texts($words:literal)) => { concat!(": a list of: ", $words) };
    (@form_words Duration($min:literal, $max:literal)) => { concat!(": ", $min, " to ", $max) };
    (@form_words Size($min:literal, $max:literal)) => { concat!(": ", $min, " to ", $max) };
    (@form_words $number:ident($min:literal, $max:literal)) => { concat!(": ", $min, " to ", $max) };
    (@form_words OneOf($($word:literal => $value:expr),+)) => { concat!(": one of" $(, " `", $word, "`")+) };
    (@form_words SomeOf($($word:literal),+)) => { concat!(": any of" $(, " `", $word, "`")+) };
    (@form_words $($form:tt)+) => { "" };

    (@fallback required) => { $crate::keys::Fallback::Required };
    (@fallback rule($words:literal $(, $value:expr)?)) => { $crate::keys::Fallback::Rule($words) };
    (@fallback $default:tt) => { $crate::keys::Fallback::Value(stringify!($default)) };

    (@default_words required) => { ". Required." };
    (@default_words rule($words:literal $(, $value:expr)?)) => { concat!(". Default: ", $words, ".") };
    (@default_words $default:tt) => { concat!(". Default: `", stringify!($default), "`.") };

    (@read $at:tt Text($words:literal) by $by:path) => { section!(@call $at $by) };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Text($words:literal) => $parse:expr) => {
        $reader.text_as($key, $parse).map(Into::into)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Texts($words:literal) => $parse:expr
        $(, $list_rule:ident($($argument:expr),*))*) => {{
        let texts = $reader.texts_as($key, $parse);
        $($reader.$list_rule($key, &texts $(, $argument)*);)*
        Some($crate::reader::values(texts))
    }};
    (@read ($reader:ident, $key:ident, $base_dir:ident) Flag) => { Some($reader.flag($key)) };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Count($($bounds:tt)+)) => {
        $reader.count_as($key, $crate::reader::fits)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Number($($bounds:tt)+)) => {
        $reader.number($key)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Duration($($bounds:tt)+)) => {
        $reader.duration($key)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Size($($bounds:tt)+)) => {
        $reader.size_as($key, $crate::reader::fits)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Size($($bounds:tt)+) => $parse:expr) => {
        $reader.size_as($key, $parse)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) OneOf($($word:literal => $value:expr),+)) => {
        $reader.one_of($key, &[$(($word, $value)),+])
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) SomeOf($($word:literal),+) => $parse:expr) => {
        Some($parse(&$reader.words($key)))
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Table => $parse:expr) => {
        $reader.table_as($key, $parse)
    };
    (@read ($reader:ident, $key:ident, $base_dir:ident) Nested($table:ty)) => {
        $reader.nested($key).map(|nested| <$table>::read(&nested, $base_dir))
    };
    (@call ($reader:ident, $key:ident, $base_dir:ident) $by:path) => { $by($reader, $key) };

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
