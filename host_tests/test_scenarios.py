"""What a board out in the field meets: each of these scenarios, by its number and name, and the
tests that act it out.

A test named here must be there and be part of `make test`. Names end at the function; all its
parameters belong to it. `device/` runs on CPython and, by test_device_suites.py, on MicroPython.
"""

import pathlib
import subprocess
import sys

import pytest

_HERE = pathlib.Path(__file__).parent
_STATES = "device/test_connection.py::"
_FRAMING = "device/test_kernels.py::"
_RECONNECT = "test_integration_reconnect.py::test_"

SCENARIOS = {
    "01 every stream split at every offset, also inside CRLF": [
        _FRAMING + "Operations::test_msg_with_operations_in_its_payload",
        _FRAMING + "Streaming::test_split_at_every_offset",
        _FRAMING + "Sizes::test_oversize_split_at_every_offset",
        "device/test_fuzz.py::Fuzz::test_valid_streams_in_random_pieces",
    ],
    "02 payloads holding CRLF, MSG, NUL; length 0; HMSG with a bare 503": [
        _FRAMING + "Operations::test_msg_with_operations_in_its_payload",
        _FRAMING + "Operations::test_msg_without_payload",
        _FRAMING + "Operations::test_hmsg_with_a_bare_status",
        "test_integration_messages.py::test_every_byte_value_goes_both_ways",
    ],
    "03 a message larger than the buffer, and the one after it": [
        _FRAMING + "Sizes::test_up_to_rx_size_comes_whole_and_beyond_is_skipped_and_counted",
        "test_integration_messages.py::test_an_oversized_message_is_skipped_and_the_next_arrives",
    ],
    "04 a server that accepts and never sends INFO": [
        _STATES + "Connecting::test_info_never_comes",
        _RECONNECT + "a_server_that_never_sends_info",
    ],
    "05 refused; black-holed SYN": [
        _RECONNECT + "refused",
        _RECONNECT + "a_black_hole",
    ],
    "06 half-open: bytes vanish both ways": [
        _RECONNECT + "bytes_that_vanish_are_found_by_pings",
        _RECONNECT + "a_frozen_server",
    ],
    "07 one-way loss": [
        _RECONNECT + "bytes_that_vanish_are_found_by_pings",
        _STATES + "KeepingAlive::test_messages_are_no_pongs",
    ],
    "08 server restart in mid-payload": [
        _RECONNECT + "a_break_in_the_middle_of_a_message",
        _RECONNECT + "a_break_in_the_middle_of_a_message_that_streams",
        _RECONNECT + "a_break_in_the_middle_of_a_large_message",
    ],
    "09 -ERR and RST in one event": [
        _STATES + "Losing::test_err_and_reset_in_one_event",
        _STATES + "Connecting::test_authorization_violation_and_a_reset_that_hides_it",
    ],
    "10 -ERR then FIN; a permissions violation that keeps the connection": [
        _STATES + "Losing::test_err_and_then_closed",
        _STATES + "Losing::test_a_permissions_violation_keeps_the_connection",
        "test_integration_servers.py::test_publishing_without_permission_is_an_event_and_no_more",
    ],
    "11 writes of 1 byte, None, ENOBUFS, ENOMEM": [
        "device/test_publish.py::Full::test_nothing_is_lost_or_mixed_by_short_writes",
        "device/test_publish.py::Full::test_writes_that_take_nothing_now",
        _STATES + "Connecting::test_the_handshake_by_short_writes",
        _STATES + "Connecting::test_the_handshake_when_there_is_no_memory_for_it_now",
        "device/test_reconnect_faults.py::Failing::test_every_call_of_the_transport",
    ],
    "12 TLS None with more publishes queued behind it": [
        "test_integration_tls.py::test_thousands_of_messages_through_a_line_that_stalls",
        "device/test_tls.py::TestWriting::test_what_may_be_encrypted_is_offered_again_and_nothing_with_it",
    ],
    "13 a TLS record partly consumed": [
        "test_integration_tls.py::test_what_is_decrypted_already_is_not_waited_for",
    ],
    "14 handshakes that stall or fail 100 times without leaking a socket": [
        _STATES + "Reconnecting::test_a_hundred_handshakes_that_stall_leave_nothing_open",
        "test_integration_endurance.py::test_a_thousand_failures_leave_nothing_behind",
        "test_integration_tls.py::test_a_hundred_stalled_handshakes_leave_nothing_open",
        "test_integration_tls.py::test_a_hundred_failed_handshakes_leave_nothing_open",
    ],
    "15 a clock at 2000 or 2021": [
        "device/test_tls.py::TestClock::test_one_that_is_not_set_is_named_before_anything_is_opened",
        "device/test_tls.py::TestClock::test_a_client_tries_again_until_it_is_set",
    ],
    "16 DNS that fails, then gives another address": [
        "device/test_servers.py::Addresses::test_a_name_that_does_not_resolve_is_a_failed_attempt",
        "device/test_servers.py::Addresses::test_when_it_fails_the_others_are_tried_and_then_the_name_again",
        _RECONNECT + "a_name_that_does_not_resolve_is_tried_again",
    ],
    "17 wrong or expired credentials: a bounded retry rate": [
        _STATES + "Reconnecting::test_wrong_credentials_are_tried_at_a_bounded_rate",
        _STATES + "Losing::test_expired_credentials",
        "device/test_servers.py::Client::test_a_round_of_wrong_credentials_waits_like_any_other",
        "test_integration_servers.py::test_wrong_credentials_are_tried_at_a_bounded_rate",
    ],
    "18 ticks_ms wrap in ping, request and back-off; a 7-day pause": [
        _STATES + "KeepingAlive::test_stale_after_max_pings_out",
        _STATES + "Reconnecting::test_waits_grow_up_to_the_maximum",
        "device/test_request.py::NotWaiting::test_none_on_timeout",
        "device/test_corners.py::Ticks::test_keep_alive_after_a_pause_of_seven_days",
        "device/test_corners.py::Ticks::test_a_request_ends_after_a_pause_of_seven_days",
        "device/test_corners.py::Ticks::test_reconnecting_after_a_pause_of_seven_days",
        "device/test_outbox.py::Trouble::test_the_clock_may_wrap_and_the_application_may_pause_for_a_week",
    ],
    "19 heap_lock around the steady state": [
        "test_allocation_ports.py::test_the_suite_counts_and_locks",
        "test_allocation_ports.py::test_over_a_real_socket",
    ],
    "20 MemoryError in the middle of a reconnect": [
        _STATES + "Reconnecting::test_memory_error_in_the_middle",
        "device/test_reconnect_faults.py::Failing::test_every_call_of_the_transport",
        "device/test_reconnect_faults.py::NoHeap::test_from_every_turn_on_for_so_many_turns",
    ],
    "21 a handler that raises, publishes, unsubscribes itself, calls poll()": [
        _STATES + "Handlers::test_an_exception_comes_out_of_poll_and_the_next_message_comes",
        _STATES + "Handlers::test_publish_and_respond",
        _STATES + "Handlers::test_unsubscribe",
        _STATES + "Handlers::test_calls_that_wait",
        _STATES + "Handlers::test_a_request_that_waits",
    ],
    "22 an application that pauses 5 minutes": [
        _STATES + "KeepingAlive::test_an_application_that_pauses_for_long",
        _RECONNECT + "an_application_that_pauses_for_longer_than_the_server_waits",
        _RECONNECT + "a_slow_consumer_is_cut_and_comes_back",
    ],
    "23 offline queue overflow, power cut in mid-append, replay order, lost acks": [
        "device/test_outbox.py::Full::test_oldest_goes",
        "device/test_outbox.py::Full::test_newest_goes",
        "device/test_outbox.py::Full::test_refuse_leaves_it_to_the_caller",
        "device/test_flashlog.py::Damage::test_torn_at_every_offset",
        "device/test_servers.py::Queued::test_readings_of_an_outbox_come_in_order_whatever_was_queued",
        "test_integration_jetstream.py::test_lost_acknowledgements_and_a_cut_connection",
        "test_outbox_faults.py::test_littlefs_over_a_fill_drain_refill_cycle",
        "test_chaos.py::test_chaos_with_one_server",
    ],
    "24 publish, drain, deep sleep: nothing lost": [
        "test_integration_messages.py::test_drain_loses_nothing_that_was_published",
        _RECONNECT + "a_board_that_publishes_and_falls_asleep_has_lost_nothing",
    ],
    "25 a request outstanding across a reconnect": [
        "device/test_request.py::Waiting::test_a_lost_connection_fails_it_at_once",
        "device/test_request.py::NotWaiting::test_a_lost_connection_ends_all_at_once",
        _RECONNECT + "a_request_outstanding_when_the_connection_breaks",
    ],
}


@pytest.fixture(scope="module")
def collected():
    """The names of all that `make test` runs of the files named here, without parameters."""
    files = sorted(
        {str(_HERE / test.split("::")[0]) for tests in SCENARIOS.values() for test in tests}
    )
    words = (
        "--collect-only",
        "-q",
        "-m",
        "not soak",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(_HERE),
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *files],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_HERE,
    )
    assert done.returncode == 0, done.stdout
    return {line.split("[")[0] for line in done.stdout.splitlines() if "::" in line}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario, collected):
    missing = [test for test in SCENARIOS[scenario] if test not in collected]
    assert SCENARIOS[scenario] and not missing, missing


def test_a_test_that_is_not_there_is_noticed(collected):
    assert _RECONNECT + "refused" in collected
    assert _RECONNECT + "no_such_thing" not in collected
    assert "test_chaos.py::test_long_chaos_with_one_server" not in collected, "it takes too long"


def test_no_scenario_is_left_out():
    numbers = [int(scenario[:2]) for scenario in SCENARIOS]
    assert numbers == sorted(set(numbers))
    assert set(numbers) >= set(range(1, 26))
