//! The tables that sections and word lists are written as, and what is made of them.

/// Makes a section of the file from its table: an example for whoever wrote something else,
/// `"key" => field: Type = default`, the keys to come, and what its keys mean to each other. The doc comment of a key is its description in the schema.
/// A default is told where leaving the key out always means the same as writing it; a test compares.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        $name:ident is $what:literal like $example:literal {
            $(
                $(#[doc = $field_doc:literal])+
                $key:literal => $field:ident: $ty:ty $(= $default:tt)?,
            )*
        }
        later { $( $later:literal ),* $(,)? }
        $( needs { $( $rule:ident($( $needed:literal ),+); )* } )?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            #[allow(dead_code, reason = "not every section is asked for its place")]
            pub(crate) span: $crate::source::Span,
            #[allow(dead_code, reason = "not every section requires something")]
            pub(crate) refused: $crate::read::Refused,
            $( $(#[doc = $field_doc])+ pub(crate) $field: $crate::read::Field<$ty>, )*
        }

        impl $name {
            pub(crate) fn empty(span: $crate::source::Span) -> Self {
                $name { span, refused: Default::default(), $( $field: $crate::read::Field::Absent, )* }
            }
        }

        impl $crate::read::Keyed for $name {
            const KEYS: $crate::read::Keys = $crate::read::Keys {
                section: $what,
                built: &[$( $key ),*],
                later: &[$( $later ),*],
                needs: &[$( $( (stringify!($rule), &[$( $needed ),+]) ),* )?],
            };
        }

        impl $crate::read::Read for $name {
            fn read(node: &$crate::tree::Node, cx: &mut $crate::read::Cx<'_>) -> Option<Self> {
                use $crate::read::Keyed as _;
                let $crate::tree::Kind::Map(entries) = &node.kind else {
                    let expected = format!("{}: a map of {}", $what, Self::KEYS.built.join(", "));
                    let bad = $crate::env::Bad::new("", expected);
                    cx.wrong(node, bad.hint(concat!("like `", $example, "`")));
                    return None;
                };
                let mut section = $name::empty(node.span);
                let mut others = Vec::new();
                for (key, value) in entries {
                    match key.key() {
                        $( Some($key) => {
                            cx.key = $key;
                            section.$field = $crate::read::Field::read(value, cx);
                        } )*
                        _ => others.push((key, value)),
                    }
                }
                cx.other_keys(&others, entries, &Self::KEYS, &mut section.refused);
                Some(section)
            }

            fn shape(shapes: &mut $crate::schema::Shapes<'_>) -> serde_json::Value {
                shapes.named(stringify!($name), |shapes| {
                    let mut section = $crate::schema::Section::default();
                    $(
                        let shape = <$ty as $crate::read::Read>::shape(shapes);
                        let default = [$( serde_json::json!($default) )?].into_iter().next();
                        section.key($key, &[$( $field_doc ),+], shape, default);
                    )*
                    $( section.later($later); )*
                    $( $( section.needs($crate::schema::rule::$rule(&[$( $needed ),+])); )* )?
                    section.finish($what, &[$( $doc ),*], $example)
                })
            }
        }
    };
}

/// Makes a word list: `"word" => Variant`, and the words to come.
macro_rules! words {
    ($ty:ty { $( $word:literal => $value:expr ),* $(,)? } later { $( $later:literal ),* $(,)? }) => {
        impl $crate::read::Read for $ty {
            fn read(node: &$crate::tree::Node, cx: &mut $crate::read::Cx<'_>) -> Option<Self> {
                const WORDS: &[&str] = &[$( $word ),*];
                const LATER: &[&str] = &[$( $later ),*];
                let scalar = cx.scalar(node, &format!("one of {}", WORDS.join(", ")))?;
                match &*scalar.text {
                    $( $word => return Some($value), )*
                    other if LATER.contains(&other) => cx.not_built(node.span, &scalar.shown()),
                    other => {
                        let mut bad =
                            $crate::env::Bad::new("", format!("one of {}", WORDS.join(", ")));
                        let words = WORDS.iter().chain(LATER).copied();
                        bad.hint = $crate::foreign::word(cx.key, other)
                            .or_else(|| $crate::read::did_you_mean(other, words));
                        cx.wrong(node, bad);
                    }
                }
                None
            }

            fn shape(_: &mut $crate::schema::Shapes<'_>) -> serde_json::Value {
                $crate::schema::words(&[$( $word ),*])
            }
        }
    };
}

pub(crate) use {section, words};
