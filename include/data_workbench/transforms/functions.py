"""Which SQL functions an expression may call: an explicit list, and by name what is refused and why.

Everything not listed is refused. DuckDB runs with external access off as well; this list is what makes a mistake
visible in a file before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping


def words(text: str) -> frozenset[str]:
    """The words of a text, for lists too long to quote each."""
    return frozenset(text.split())


ENGINE_FUNCTIONS: Mapping[str, str] = {
    "uuid5": "uuid5(namespace, name): the UUIDv5 of a text; namespace is a UUID, or dns, url, oid, x500",
}
"""Functions the workbench adds to DuckDB; whoever compiles a plan registers them."""

SCALARS = words("""
    abs acos acosh asin asinh atan atan2 atanh bin bit_count bit_length bit_position cbrt ceil ceiling cos cosh cot
    degrees even exp factorial fdiv floor fmod gamma gcd greatest greatest_common_divisor isfinite isinf isnan lcm
    least least_common_multiple lgamma ln log log10 log2 mod nextafter pi pow power radians round round_even
    roundbankers sign signbit sin sinh sqrt tan tanh trunc xor divide multiply subtract add
    ascii base64 char_length character_length chr concat concat_ws contains damerau_levenshtein editdist3 ends_with
    format format_bytes from_base64 from_binary from_hex hamming hex instr jaccard jaro_similarity
    jaro_winkler_similarity lcase left left_grapheme len length length_grapheme levenshtein lower lpad ltrim md5
    mismatches nfc_normalize octet_length ord overlay parse_dirname parse_dirpath parse_filename parse_path position
    prefix printf repeat replace reverse right right_grapheme rpad rtrim sha1 sha256 split split_part starts_with
    str_split str_split_regex string_split string_split_regex string_to_array strip_accents strlen strpos substr
    substring substring_grapheme suffix to_base to_base64 to_binary to_hex translate trim ucase unbin unhex unicode
    upper url_decode url_encode encode
    regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace
    regexp_split_to_array
    coalesce nullif if ifnull cast try_cast try typeof
    age century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname
    dayofmonth dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us era extract hour isodow
    isoyear julian last_day make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz
    microsecond millennium millisecond minute month monthname nanosecond quarter second strftime strptime
    time_bucket timezone timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds
    to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years
    try_strptime week weekday weekofyear year yearweek
    now current_timestamp current_date today transaction_timestamp get_current_timestamp
    array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains array_cosine_distance
    array_cosine_similarity array_cross_product array_distance array_distinct array_dot_product array_extract
    array_filter array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product
    array_intersect array_length array_pop_back array_pop_front array_position array_prepend array_push_back
    array_push_front array_reduce array_resize array_reverse array_reverse_sort array_select array_slice array_sort
    array_to_json array_to_string array_transform array_unique array_value array_where array_zip filter
    flatten generate_series range grade_up list_aggr list_aggregate list_any_value list_append list_apply list_avg
    list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains
    list_cosine_distance list_cosine_similarity list_count list_distance list_distinct list_dot_product list_element
    list_entropy list_extract list_filter list_first list_grade_up list_has list_has_all list_has_any list_histogram
    list_indexof list_inner_product list_intersect list_kurtosis list_last list_mad list_max list_median list_min
    list_mode list_pack list_position list_prepend list_product list_reduce list_resize list_reverse
    list_reverse_sort list_select list_sem list_skewness list_slice list_sort list_stddev_pop list_stddev_samp
    list_string_agg list_sum list_transform list_unique list_value list_var_pop list_var_samp list_where list_zip
    element_at
    map map_concat map_contains map_contains_entry map_contains_value map_entries map_extract map_extract_value
    map_from_entries map_keys map_values cardinality
    row struct_concat struct_contains struct_extract struct_extract_at struct_has struct_indexof struct_insert
    struct_keys struct_pack struct_position struct_update struct_values
    from_json from_json_strict json json_array json_array_length json_contains json_deep_merge json_exists
    json_extract json_extract_path json_extract_path_text json_extract_string json_keys json_merge_patch
    json_normalize json_object json_quote json_remove json_replace json_set json_insert json_structure
    json_transform json_transform_strict json_type json_valid json_value row_to_json to_json
    union_extract union_tag union_value uuid_extract_timestamp uuid_extract_version
    bitstring get_bit set_bit bar equi_width_bins
""") | frozenset(ENGINE_FUNCTIONS)

AGGREGATES = words("""
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_min arg_min_null
    argmax argmin array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count count_if countif count_star
    covar_pop covar_samp entropy favg first fsum geomean geometric_mean group_concat histogram json_group_array
    json_group_object kahan_sum kurtosis kurtosis_pop last list listagg mad max max_by mean median min min_by mode
    product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem skewness stddev stddev_pop stddev_samp
    string_agg sum sum_no_overflow sumkahan var_pop var_samp variance wavg weighted_avg
""")

WINDOWS = words("""
    cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense row_number
""")

_FILES = "it reaches files or the network; name a source instead"
_SETTINGS = "it reads the server's settings, catalogue or secrets"
_RANDOM = "it gives another value each time, so a load could not be repeated or compared"
_ROWS = "it makes rows; use a step for that"

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        words("""
            read_csv read_csv_auto read_parquet parquet_scan read_json read_json_auto read_json_objects read_ndjson
            read_ndjson_auto read_ndjson_objects read_json_objects_auto read_ndjson_objects_auto read_text read_blob
            read_duckdb read_xlsx read_single_csv_file read_single_json_file read_single_parquet_file sniff_csv glob
            parquet_metadata parquet_schema parquet_file_metadata parquet_kv_metadata parquet_full_metadata
            parquet_bloom_probe iceberg_scan delta_scan sqlite_scan postgres_scan postgres_query mysql_scan st_read
            arrow_scan pandas_scan python_map_function http_get http_post write_log copy_database import_database
        """),
        _FILES,
    ),
    **dict.fromkeys(
        words("""
            getenv current_setting getvariable query query_table pragma which_secret duckdb_secrets duckdb_settings
            duckdb_functions duckdb_tables duckdb_columns duckdb_databases duckdb_extensions version current_query
            current_database current_schema current_schemas current_catalog current_user current_role session_user
            user in_search_path txid_current pg_typeof current_query_id current_transaction_id
            current_connection_id json_execute_serialized_sql json_serialize_sql json_deserialize_sql
            json_serialize_plan pragma_table_info pragma_version load install attach
        """),
        _SETTINGS,
    ),
    **dict.fromkeys(words("random gen_random_uuid uuid uuidv4 uuidv7 setseed nextval currval setval"), _RANDOM),
    **dict.fromkeys(words("unnest explode json_each json_tree regexp_split_to_table generate_subscripts"), _ROWS),
    **dict.fromkeys(words("pg_sleep sleep_ms"), "it only waits"),
    "hash": "its values change between DuckDB versions; use md5 or sha256",
    "columns": "it stands for several columns; name the column",
    "error": "it stops the run; use a contract, which keeps the row",
    "alias": "it names an expression, not a value",
}
"""Name to the reason why it is refused."""
