//! How much memory a value holds beyond its own size, by what serde shows of it.

use std::fmt;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Bytes of a value with its texts, lists and maps, estimated from above: each value within counts as much as it takes by
/// itself, and twice, since lists have room for more and numbers lie apart.
pub(crate) fn bytes<T: Serialize>(value: &T) -> usize {
    let mut heap = Heap(0);
    // Nothing is refused here; a value that does not show itself is refused when it is written.
    let _ = value.serialize(&mut heap);
    2 * heap.0
}

struct Heap(usize);

/// A text or list without what is in it; and whatever may stand where there is nothing.
const EMPTY: usize = size_of::<Vec<u8>>();

#[derive(Debug, thiserror::Error)]
#[error("a value does not show itself")]
struct Hidden;

impl serde::ser::Error for Hidden {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Values that end here, and what they take.
macro_rules! ends {
    ($($method:ident($($of:ty),*): $bytes:expr;)*) => {$(
        fn $method(self $(, _: $of)*) -> Result<(), Hidden> {
            self.0 += $bytes;
            Ok(())
        }
    )*};
}

/// Values that consist of values, and what they take beside those.
macro_rules! opens {
    ($($method:ident($($of:ty),*): $bytes:expr;)*) => {$(
        fn $method(self $(, _: $of)*) -> Result<Self, Hidden> {
            self.0 += $bytes;
            Ok(self)
        }
    )*};
}

impl Serializer for &mut Heap {
    type Ok = ();
    type Error = Hidden;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn is_human_readable(&self) -> bool {
        false
    }

    ends! {
        serialize_bool(bool): 1;
        serialize_char(char): 4;
        serialize_i8(i8): 1;
        serialize_i16(i16): 2;
        serialize_i32(i32): 4;
        serialize_i64(i64): 8;
        serialize_i128(i128): 16;
        serialize_u8(u8): 1;
        serialize_u16(u16): 2;
        serialize_u32(u32): 4;
        serialize_u64(u64): 8;
        serialize_u128(u128): 16;
        serialize_f32(f32): 4;
        serialize_f64(f64): 8;
        serialize_none(): EMPTY;
        serialize_unit(): 0;
        serialize_unit_struct(&'static str): 0;
        serialize_unit_variant(&'static str, u32, &'static str): EMPTY;
    }
    opens! {
        serialize_seq(Option<usize>): EMPTY;
        serialize_tuple(usize): 0;
        serialize_tuple_struct(&'static str, usize): 0;
        serialize_tuple_variant(&'static str, u32, &'static str, usize): EMPTY;
        serialize_map(Option<usize>): EMPTY;
        serialize_struct(&'static str, usize): 0;
        serialize_struct_variant(&'static str, u32, &'static str, usize): EMPTY;
    }

    fn serialize_str(self, text: &str) -> Result<(), Hidden> {
        self.0 += EMPTY + text.len();
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Hidden> {
        self.0 += EMPTY + bytes.len();
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Hidden> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Hidden> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Hidden> {
        value.serialize(self)
    }
}

/// Values within values.
macro_rules! values_of {
    ($($of:ident: $($method:ident($($name:ty),*))*;)*) => {$(
        impl $of for &mut Heap {
            type Ok = ();
            type Error = Hidden;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)* value: &T) -> Result<(), Hidden> {
                value.serialize(&mut **self)
            })*

            fn end(self) -> Result<(), Hidden> {
                Ok(())
            }
        }
    )*};
}

values_of! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key() serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use uuid::Uuid;

    use super::bytes;

    #[derive(Serialize, Default)]
    struct Row {
        id: Uuid,
        name: Option<String>,
        numbers: Vec<u64>,
        lists: Vec<Vec<u8>>,
        by_name: BTreeMap<String, Kind>,
    }

    #[derive(Serialize)]
    enum Kind {
        Plain,
        Named(String),
        Sized { bytes: Vec<u8> },
    }

    #[test]
    fn no_row_takes_more_than_what_is_counted() {
        let kinds = || [Kind::Plain, Kind::Named("abc".to_owned()), Kind::Sized { bytes: vec![0; 7] }];
        let by_name = || ["a", "bc", "def"].map(str::to_owned).into_iter().zip(kinds()).collect();
        let lists = || vec![vec![1_u8; 50], Vec::new()];
        let row = Row {
            id: Uuid::nil(),
            name: Some("name".to_owned()),
            numbers: vec![1; 100],
            lists: lists(),
            by_name: by_name(),
        };
        let of_numbers = 100 * size_of::<u64>();
        let of_lists = 2 * size_of::<Vec<u8>>() + 50;
        let of_names = 3 * (size_of::<String>() + size_of::<Kind>()) + 6 + 3 + 7;
        let taken = size_of::<Row>() + 4 + of_numbers + of_lists + of_names;
        let counted = bytes(&row);
        assert!((taken..3 * taken).contains(&counted), "{counted} of {taken}");
        assert!(bytes(&Row::default()) >= size_of::<Row>());
    }

    #[test]
    fn whatever_grows_counts_for_more() {
        for (small, large) in [
            (bytes(&"four"), bytes(&"longer")),
            (bytes(&vec![1_u64]), bytes(&vec![1_u64; 2])),
            (bytes(&vec![String::new()]), bytes(&vec![String::new(); 2])),
            (bytes(&[None::<u8>; 1]), bytes(&[None::<u8>; 2])),
            (bytes(&BTreeMap::from([(1_u8, ())])), bytes(&BTreeMap::from([(1_u8, ()), (2, ())]))),
            (bytes(&vec![Kind::Plain]), bytes(&vec![Kind::Plain, Kind::Plain])),
        ] {
            assert!(small < large, "{small} {large}");
        }
    }
}
