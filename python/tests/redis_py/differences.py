"""Tests of redis-py that fail on purpose, each with the reason."""

_TEXT = "errors name a command by its place and its name, and never show keys and values"
_OPTION = "`execute_command` has no options of redis-py's connections"

DIFFERENCES: dict[str, str] = {
    "test_commands.py::TestRedisCommands::test_never_decode_option": _OPTION,
    "test_commands.py::TestRedisCommands::test_empty_response_option": _OPTION,
    "test_commands.py::TestRedisCommands::test_bitfield_operations": (
        "it sends SELECT, which is refused on the connection that all callers share"
    ),
    "test_pipeline.py::TestPipeline::test_exec_error_raised": _TEXT,
    "test_pipeline.py::TestPipeline::test_parse_error_raised": _TEXT,
    "test_pipeline.py::TestPipeline::test_parse_error_raised_transaction": _TEXT,
    "test_pipeline.py::TestPipeline::test_exec_error_in_no_transaction_pipeline": _TEXT,
    "test_pipeline.py::TestPipeline::test_exec_error_in_no_transaction_pipeline_unicode_command": (
        _TEXT
    ),
    "test_pipeline.py::TestPipeline::test_exec_error_in_pipeline_truncated": _TEXT,
    "test_pubsub.py::TestPubSubMessages::test_get_message_without_subscribe": (
        "all errors derive from CacheError: it is a ConfigurationError, not a RuntimeError"
    ),
}
