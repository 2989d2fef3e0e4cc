//! A secret as it is written: where it is, and never what it is.

use crate::leaf::Text;
use crate::read::section;

section! {
    /// Where a secret is: never in this file.
    Secret is "a secret" like "{ file: /etc/isobar/users }" {
        /// A file, relative to this one.
        "file" => file: Text,
        /// An environment variable.
        "env" => env: Text,
    }
    later {}
    needs { one_of("file", "env"); }
}
