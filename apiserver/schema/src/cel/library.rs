//! Every function and operator with its overloads, as a table: name, id, receiver, arguments, result.
//!
//! The checker resolves calls by it and the cost estimate knows an overload by its id. What the functions do is in
//! [`super::functions`].

use std::collections::HashMap;
use std::sync::OnceLock;

use super::types::Type;

/// One way to call a function.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) id: &'static str,
    /// Called on its first argument.
    pub(super) member: bool,
    pub(super) args: Vec<Type>,
    pub(super) result: Type,
    /// How many type parameters it has.
    pub(super) params: usize,
}

pub(super) const IP: &str = "net.IP";
pub(super) const CIDR: &str = "net.CIDR";
pub(super) const URL: &str = "kubernetes.URL";
pub(super) const QUANTITY: &str = "kubernetes.Quantity";
pub(super) const SEMVER: &str = "kubernetes.Semver";
pub(super) const FORMAT: &str = "kubernetes.NamedFormat";

/// `name id receiver.(arguments) result`; without a receiver the call is global.
const TABLE: &str = "
_?_:_ conditional (bool,A,A) A
_&&_ logical_and (bool,bool) bool
_||_ logical_or (bool,bool) bool
!_ logical_not (bool) bool
@not_strictly_false not_strictly_false (bool) bool
_==_ equals (A,A) bool
_!=_ not_equals (A,A) bool
_+_ add_int64 (int,int) int
_+_ add_uint64 (uint,uint) uint
_+_ add_double (double,double) double
_+_ add_string (string,string) string
_+_ add_bytes (bytes,bytes) bytes
_+_ add_list (list<A>,list<A>) list<A>
_+_ add_timestamp_duration (timestamp,duration) timestamp
_+_ add_duration_timestamp (duration,timestamp) timestamp
_+_ add_duration_duration (duration,duration) duration
_-_ subtract_int64 (int,int) int
_-_ subtract_uint64 (uint,uint) uint
_-_ subtract_double (double,double) double
_-_ subtract_timestamp_timestamp (timestamp,timestamp) duration
_-_ subtract_timestamp_duration (timestamp,duration) timestamp
_-_ subtract_duration_duration (duration,duration) duration
_*_ multiply_int64 (int,int) int
_*_ multiply_uint64 (uint,uint) uint
_*_ multiply_double (double,double) double
_/_ divide_int64 (int,int) int
_/_ divide_uint64 (uint,uint) uint
_/_ divide_double (double,double) double
_%_ modulo_int64 (int,int) int
_%_ modulo_uint64 (uint,uint) uint
-_ negate_int64 (int) int
-_ negate_double (double) double
_[_] index_list (list<A>,int) A
_[_] index_map (map<A,B>,A) B
_[_] optional_list_index_value (optional<list<A>>,int) optional<A>
_[_] optional_map_index_value (optional<map<A,B>>,A) optional<B>
_[?_] list_optindex_optional_int (list<A>,int) optional<A>
_[?_] optional_list_optindex_optional_int (optional<list<A>>,int) optional<A>
_[?_] map_optindex_optional_value (map<A,B>,A) optional<B>
_[?_] optional_map_optindex_optional_value (optional<map<A,B>>,A) optional<B>
@in in_list (A,list<A>) bool
@in in_map (A,map<A,B>) bool
size size_string (string) int
size size_bytes (bytes) int
size size_list (list<A>) int
size size_map (map<A,B>) int
size string_size string.() int
size bytes_size bytes.() int
size list_size list<A>.() int
size map_size map<A,B>.() int
type type (A) type
dyn to_dyn (A) dyn
bool bool_to_bool (bool) bool
bool string_to_bool (string) bool
bytes bytes_to_bytes (bytes) bytes
bytes string_to_bytes (string) bytes
double double_to_double (double) double
double int64_to_double (int) double
double uint64_to_double (uint) double
double string_to_double (string) double
int int64_to_int64 (int) int
int uint64_to_int64 (uint) int
int double_to_int64 (double) int
int string_to_int64 (string) int
int timestamp_to_int64 (timestamp) int
int duration_to_int64 (duration) int
uint uint64_to_uint64 (uint) uint
uint int64_to_uint64 (int) uint
uint double_to_uint64 (double) uint
uint string_to_uint64 (string) uint
string string_to_string (string) string
string bool_to_string (bool) string
string int64_to_string (int) string
string uint64_to_string (uint) string
string double_to_string (double) string
string bytes_to_string (bytes) string
string timestamp_to_string (timestamp) string
string duration_to_string (duration) string
string ip_to_string (IP) string
string cidr_to_string (CIDR) string
timestamp timestamp_to_timestamp (timestamp) timestamp
timestamp string_to_timestamp (string) timestamp
timestamp int64_to_timestamp (int) timestamp
duration duration_to_duration (duration) duration
duration string_to_duration (string) duration
duration int64_to_duration (int) duration
contains contains_string string.(string) bool
endsWith ends_with_string string.(string) bool
startsWith starts_with_string string.(string) bool
matches matches_string string.(string) bool
matches matches (string,string) bool
getFullYear timestamp_to_year timestamp.() int
getFullYear timestamp_to_year_with_tz timestamp.(string) int
getMonth timestamp_to_month timestamp.() int
getMonth timestamp_to_month_with_tz timestamp.(string) int
getDayOfYear timestamp_to_day_of_year timestamp.() int
getDayOfYear timestamp_to_day_of_year_with_tz timestamp.(string) int
getDayOfMonth timestamp_to_day_of_month timestamp.() int
getDayOfMonth timestamp_to_day_of_month_with_tz timestamp.(string) int
getDate timestamp_to_day_of_month_1_based timestamp.() int
getDate timestamp_to_day_of_month_1_based_with_tz timestamp.(string) int
getDayOfWeek timestamp_to_day_of_week timestamp.() int
getDayOfWeek timestamp_to_day_of_week_with_tz timestamp.(string) int
getHours timestamp_to_hours timestamp.() int
getHours timestamp_to_hours_with_tz timestamp.(string) int
getHours duration_to_hours duration.() int
getMinutes timestamp_to_minutes timestamp.() int
getMinutes timestamp_to_minutes_with_tz timestamp.(string) int
getMinutes duration_to_minutes duration.() int
getSeconds timestamp_to_seconds timestamp.() int
getSeconds timestamp_to_seconds_with_tz timestamp.(string) int
getSeconds duration_to_seconds duration.() int
getMilliseconds timestamp_to_milliseconds timestamp.() int
getMilliseconds timestamp_to_milliseconds_with_tz timestamp.(string) int
getMilliseconds duration_to_milliseconds duration.() int
charAt string_char_at_int string.(int) string
indexOf string_index_of_string string.(string) int
indexOf string_index_of_string_int string.(string,int) int
lastIndexOf string_last_index_of_string string.(string) int
lastIndexOf string_last_index_of_string_int string.(string,int) int
lowerAscii string_lower_ascii string.() string
upperAscii string_upper_ascii string.() string
replace string_replace_string_string string.(string,string) string
replace string_replace_string_string_int string.(string,string,int) string
split string_split_string string.(string) list<string>
split string_split_string_int string.(string,int) list<string>
substring string_substring_int string.(int) string
substring string_substring_int_int string.(int,int) string
trim string_trim string.() string
join list_join list<string>.() string
join list_join_string list<string>.(string) string
format string_format string.(list<dyn>) string
strings.quote strings_quote (string) string
indexOf list_a_index_of_int list<A>.(A) int
lastIndexOf list_a_last_index_of_int list<A>.(A) int
isSorted list_int_is_sorted_bool list<int>.() bool
isSorted list_uint_is_sorted_bool list<uint>.() bool
isSorted list_double_is_sorted_bool list<double>.() bool
isSorted list_bool_is_sorted_bool list<bool>.() bool
isSorted list_string_is_sorted_bool list<string>.() bool
isSorted list_bytes_is_sorted_bool list<bytes>.() bool
isSorted list_timestamp_is_sorted_bool list<timestamp>.() bool
isSorted list_duration_is_sorted_bool list<duration>.() bool
sum list_int_sum_int list<int>.() int
sum list_uint_sum_uint list<uint>.() uint
sum list_double_sum_double list<double>.() double
sum list_duration_sum_duration list<duration>.() duration
min list_int_min_int list<int>.() int
min list_uint_min_uint list<uint>.() uint
min list_double_min_double list<double>.() double
min list_bool_min_bool list<bool>.() bool
min list_string_min_string list<string>.() string
min list_bytes_min_bytes list<bytes>.() bytes
min list_timestamp_min_timestamp list<timestamp>.() timestamp
min list_duration_min_duration list<duration>.() duration
max list_int_max_int list<int>.() int
max list_uint_max_uint list<uint>.() uint
max list_double_max_double list<double>.() double
max list_bool_max_bool list<bool>.() bool
max list_string_max_string list<string>.() string
max list_bytes_max_bytes list<bytes>.() bytes
max list_timestamp_max_timestamp list<timestamp>.() timestamp
max list_duration_max_duration list<duration>.() duration
slice list_slice list<A>.(int,int) list<A>
flatten list_flatten list<list<A>>.() list<A>
distinct list_distinct list<A>.() list<A>
reverse list_reverse list<A>.() list<A>
sort list_sort list<A>.() list<A>
first list_first list<A>.() optional<A>
last list_last list<A>.() optional<A>
lists.range lists_range (int) list<int>
find string_find_string string.(string) string
findAll string_find_all_string string.(string) list<string>
findAll string_find_all_string_int string.(string,int) list<string>
sets.contains list_sets_contains_list (list<A>,list<A>) bool
sets.equivalent list_sets_equivalent_list (list<A>,list<A>) bool
sets.intersects list_sets_intersects_list (list<A>,list<A>) bool
url string_to_url (string) URL
isURL is_url_string (string) bool
getScheme url_get_scheme URL.() string
getHost url_get_host URL.() string
getHostname url_get_hostname URL.() string
getPort url_get_port URL.() string
getEscapedPath url_get_escaped_path URL.() string
getQuery url_get_query URL.() map<string,list<string>>
isIP is_ip (string) bool
ip string_to_ip (string) IP
ip.isCanonical ip_is_canonical (string) bool
family ip_family IP.() int
isUnspecified ip_is_unspecified IP.() bool
isLoopback ip_is_loopback IP.() bool
isLinkLocalMulticast ip_is_link_local_multicast IP.() bool
isLinkLocalUnicast ip_is_link_local_unicast IP.() bool
isGlobalUnicast ip_is_global_unicast IP.() bool
isCIDR is_cidr (string) bool
cidr string_to_cidr (string) CIDR
containsIP cidr_contains_ip_string CIDR.(string) bool
containsIP cidr_contains_ip_ip CIDR.(IP) bool
containsCIDR cidr_contains_cidr_string CIDR.(string) bool
containsCIDR cidr_contains_cidr CIDR.(CIDR) bool
ip cidr_ip CIDR.() IP
masked cidr_masked CIDR.() CIDR
prefixLength cidr_prefix_length CIDR.() int
isQuantity is_quantity_string (string) bool
quantity string_to_quantity (string) Quantity
sign quantity_sign Quantity.() int
isInteger quantity_is_integer Quantity.() bool
asInteger quantity_as_integer Quantity.() int
asApproximateFloat quantity_get_float Quantity.() double
isGreaterThan quantity_is_greater_than Quantity.(Quantity) bool
isLessThan quantity_is_less_than Quantity.(Quantity) bool
compareTo quantity_compare_to Quantity.(Quantity) int
add quantity_add Quantity.(Quantity) Quantity
add quantity_add_int Quantity.(int) Quantity
sub quantity_sub Quantity.(Quantity) Quantity
sub quantity_sub_int Quantity.(int) Quantity
isSemver is_semver_string (string) bool
isSemver is_semver_string_bool (string,bool) bool
semver string_to_semver (string) Semver
semver string_bool_to_semver (string,bool) Semver
major semver_major Semver.() int
minor semver_minor Semver.() int
patch semver_patch Semver.() int
isGreaterThan semver_is_greater_than Semver.(Semver) bool
isLessThan semver_is_less_than Semver.(Semver) bool
compareTo semver_compare_to Semver.(Semver) int
format.named format_named (string) optional<Format>
validate format_validate Format.(string) optional<list<string>>
format.dns1123Label format_dns1123Label () Format
format.dns1123Subdomain format_dns1123Subdomain () Format
format.dns1035Label format_dns1035Label () Format
format.qualifiedName format_qualifiedName () Format
format.dns1123LabelPrefix format_dns1123LabelPrefix () Format
format.dns1123SubdomainPrefix format_dns1123SubdomainPrefix () Format
format.dns1035LabelPrefix format_dns1035LabelPrefix () Format
format.labelValue format_labelValue () Format
format.uri format_uri () Format
format.uuid format_uuid () Format
format.byte format_byte () Format
format.date format_date () Format
format.datetime format_datetime () Format
math.ceil math_ceil_double (double) double
math.floor math_floor_double (double) double
math.round math_round_double (double) double
math.trunc math_trunc_double (double) double
math.isNaN math_isNaN_double (double) bool
math.isInf math_isInf_double (double) bool
math.isFinite math_isFinite_double (double) bool
math.abs math_abs_int (int) int
math.abs math_abs_uint (uint) uint
math.abs math_abs_double (double) double
math.sign math_sign_int (int) int
math.sign math_sign_uint (uint) uint
math.sign math_sign_double (double) double
math.sqrt math_sqrt_double (double) double
math.sqrt math_sqrt_int (int) double
math.sqrt math_sqrt_uint (uint) double
math.bitAnd math_bitAnd_int_int (int,int) int
math.bitAnd math_bitAnd_uint_uint (uint,uint) uint
math.bitOr math_bitOr_int_int (int,int) int
math.bitOr math_bitOr_uint_uint (uint,uint) uint
math.bitXor math_bitXor_int_int (int,int) int
math.bitXor math_bitXor_uint_uint (uint,uint) uint
math.bitNot math_bitNot_int_int (int) int
math.bitNot math_bitNot_uint_uint (uint) uint
math.bitShiftLeft math_bitShiftLeft_int_int (int,int) int
math.bitShiftLeft math_bitShiftLeft_uint_int (uint,int) uint
math.bitShiftRight math_bitShiftRight_int_int (int,int) int
math.bitShiftRight math_bitShiftRight_uint_int (uint,int) uint
optional.of optional_of (A) optional<A>
optional.ofNonZeroValue optional_ofNonZeroValue (A) optional<A>
optional.none optional_none () optional<A>
optional.unwrap optional_unwrap (list<optional<A>>) list<A>
unwrapOpt optional_unwrapOpt list<optional<A>>.() list<A>
hasValue optional_hasValue optional<A>.() bool
value optional_value optional<A>.() A
or optional_or_optional optional<A>.(optional<A>) optional<A>
orValue optional_orValue_value optional<A>.(A) A
cel.@mapInsert cel_@mapInsert_map_key_value (map<A,B>,A,B) map<A,B>
cel.@mapInsert cel_@mapInsert_map_map (map<A,B>,map<A,B>) map<A,B>
";

/// The table, read once.
pub(super) fn overloads(name: &str) -> &'static [Overload] {
    static READ: OnceLock<HashMap<&'static str, Vec<Overload>>> = OnceLock::new();
    READ.get_or_init(read).get(name).map_or(&[], Vec::as_slice)
}

/// Whether a dotted name is a function, not a method on a variable.
pub(super) fn is_function(name: &str) -> bool {
    !overloads(name).is_empty()
}

fn read() -> HashMap<&'static str, Vec<Overload>> {
    let mut table: HashMap<&'static str, Vec<Overload>> = HashMap::new();
    for line in TABLE.lines() {
        let mut words = line.split(' ');
        let (Some(name), Some(id), Some(shape), Some(result)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        if let Some(overload) = overload(id, shape, result) {
            table.entry(name).or_default().push(overload);
        }
    }
    comparisons(&mut table);
    for name in ["math.greatest", "math.least"] {
        let numbers = [Type::Int, Type::Uint, Type::Double];
        let add = |args: Vec<Type>, result: Type| Overload {
            id: "math_bound",
            member: false,
            args,
            result,
            params: 0,
        };
        let list = table.entry(name).or_default();
        for number in numbers {
            list.push(add(vec![Type::list(number.clone())], number.clone()));
            list.extend((1..5).map(|count| add(vec![number.clone(); count], number.clone())));
        }
        list.extend((2..5).map(|count| add(vec![Type::Dyn; count], Type::Dyn)));
    }
    table
}

/// Order is known within a type, and between the three kinds of numbers.
fn comparisons(table: &mut HashMap<&'static str, Vec<Overload>>) {
    const IDS: [(&str, &str, &str, &str); 4] = [
        ("_<_", "less", "less_string", "less_bytes"),
        ("_<=_", "less_equals", "less_equals_string", "less_equals_bytes"),
        ("_>_", "greater", "greater_string", "greater_bytes"),
        (
            "_>=_",
            "greater_equals",
            "greater_equals_string",
            "greater_equals_bytes",
        ),
    ];
    let numbers = [Type::Int, Type::Uint, Type::Double];
    for (name, other, string, bytes) in IDS {
        let add = |id: &'static str, left: &Type, right: &Type| Overload {
            id,
            member: false,
            args: vec![left.clone(), right.clone()],
            result: Type::Bool,
            params: 0,
        };
        let list = table.entry(name).or_default();
        for of in [Type::Bool, Type::Timestamp, Type::Duration] {
            list.push(add(other, &of, &of));
        }
        list.push(add(string, &Type::String, &Type::String));
        list.push(add(bytes, &Type::Bytes, &Type::Bytes));
        for left in &numbers {
            list.extend(numbers.iter().map(|right| add(other, left, right)));
        }
    }
}

fn overload(id: &'static str, shape: &'static str, result: &'static str) -> Option<Overload> {
    let (receiver, args) = shape.split_once('(')?;
    let args = args.strip_suffix(')')?;
    let mut names = Vec::new();
    let mut types = Vec::new();
    let receiver = receiver.trim_end_matches('.');
    if !receiver.is_empty() {
        types.push(read_type(receiver, &mut names)?);
    }
    for part in split(args) {
        types.push(read_type(part, &mut names)?);
    }
    Some(Overload {
        id,
        member: !receiver.is_empty(),
        args: types,
        result: read_type(result, &mut names)?,
        params: names.len(),
    })
}

/// Splits at commas outside of angle brackets.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (index, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    if start < text.len() {
        parts.push(&text[start..]);
    }
    parts
}

fn read_type(text: &'static str, names: &mut Vec<&'static str>) -> Option<Type> {
    if let Some((outer, inner)) = text.split_once('<') {
        let inner = inner.strip_suffix('>')?;
        let start = text.len() - inner.len() - 1;
        let inner: Vec<&'static str> = split(&text[start..text.len() - 1]);
        let mut parts = inner.into_iter().map(|part| read_type(part, names));
        return match (outer, parts.next()??) {
            ("list", element) => Some(Type::list(element)),
            ("optional", element) => Some(Type::optional(element)),
            ("map", key) => Some(Type::map(key, parts.next()??)),
            _ => None,
        };
    }
    Some(match text {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "dyn" => Type::Dyn,
        "type" => Type::Type,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "IP" => Type::Opaque(IP),
        "CIDR" => Type::Opaque(CIDR),
        "URL" => Type::Opaque(URL),
        "Quantity" => Type::Opaque(QUANTITY),
        "Semver" => Type::Opaque(SEMVER),
        "Format" => Type::Opaque(FORMAT),
        name => {
            let index = names.iter().position(|own| *own == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            Type::Var(index)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        for line in TABLE.lines().filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let (name, id) = (words.next().unwrap(), words.next().unwrap());
            assert!(overloads(name).iter().any(|own| own.id == id), "{line}");
        }
        let index = &overloads("_[_]")[1];
        assert_eq!((index.params, index.member), (2, false));
        assert_eq!(index.args[0], Type::map(Type::Var(0), Type::Var(1)));
    }
}
