//! Between JSON and CEL.

use std::collections::HashMap;

use cel::common::{
    types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt},
    value::Val,
};
use serde_json::{Map, Number, Value};

/// Deeper results are refused, so that whoever walks them needs no guard.
const DEPTH: usize = 100;

/// The CEL value of `json`; strings are borrowed.
pub(crate) fn to_cel(json: &Value) -> Box<dyn Val + '_> {
    match json {
        Value::Null => Box::new(CelNull),
        Value::Bool(bool) => Box::new(CelBool::from(*bool)),
        Value::Number(number) => number_to_cel(number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(elements) => Box::new(CelList::from(elements.iter().map(to_cel).collect::<Vec<_>>())),
        Value::Object(fields) => {
            let entries: HashMap<CelMapKey<'_>, Box<dyn Val + '_>> =
                fields.iter().map(|(name, value)| (CelMapKey::from(name.as_str()), to_cel(value))).collect();
            Box::new(CelMap::from(entries))
        }
    }
}

fn number_to_cel<'v>(number: &Number) -> Box<dyn Val + 'v> {
    if let Some(int) = number.as_i64() {
        Box::new(CelInt::from(int))
    } else if let Some(uint) = number.as_u64() {
        Box::new(CelUInt::from(uint))
    } else {
        Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
    }
}

/// The JSON of a CEL value, or why it has none.
pub(crate) fn to_json(value: &dyn Val) -> Result<Value, String> {
    to_json_at(value, 0)
}

fn to_json_at(value: &dyn Val, depth: usize) -> Result<Value, String> {
    if depth > DEPTH {
        return Err(format!("the result nests deeper than {DEPTH} levels"));
    }
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Ok(Value::String(text.inner().to_owned()));
    }
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        let elements = list.inner().iter().map(|element| to_json_at(element.as_ref(), depth + 1));
        return elements.collect::<Result<_, _>>().map(Value::Array);
    }
    if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        return map_to_json(map, depth);
    }
    scalar_to_json(value)
}

fn map_to_json(map: &CelMap<'_>, depth: usize) -> Result<Value, String> {
    let mut fields = Map::with_capacity(map.inner().len());
    for (key, value) in map.inner() {
        let CelMapKey::String(name) = key else {
            return Err("the keys of an object must be strings; wrap the key in `string(…)`".to_owned());
        };
        fields.insert(name.inner().to_owned(), to_json_at(value.as_ref(), depth + 1)?);
    }
    Ok(Value::Object(fields))
}

fn scalar_to_json(value: &dyn Val) -> Result<Value, String> {
    if value.downcast_ref::<CelNull>().is_some() {
        Ok(Value::Null)
    } else if let Some(bool) = value.downcast_ref::<CelBool>() {
        Ok(Value::Bool(*bool.inner()))
    } else if let Some(int) = value.downcast_ref::<CelInt>() {
        Ok(Value::from(*int.inner()))
    } else if let Some(uint) = value.downcast_ref::<CelUInt>() {
        Ok(Value::from(*uint.inner()))
    } else if let Some(double) = value.downcast_ref::<CelDouble>() {
        let number = Number::from_f64(*double.inner());
        number
            .map(Value::Number)
            .ok_or_else(|| format!("the result is {}, which JSON cannot hold", double.inner()))
    } else {
        Err(format!("the result is a {}, which JSON cannot hold", value.get_type().name()))
    }
}
