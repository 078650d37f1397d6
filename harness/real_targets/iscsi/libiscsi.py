"""The functions of libiscsi that the initiator uses, by ctypes; each call releases the interpreter's lock.

Only the asynchronous ones are used: the synchronous ones leave a command of a lost session behind with a pointer to
their own stack, which is written to when the context is destroyed.

The structures are those of `scsi-lowlevel.h` and `iscsi.h` of libiscsi 1.19 (shared object version 7).
"""

from __future__ import annotations

import ctypes as c
import functools

from harness.real_targets.missing import NotInstalled

LIBRARY = "libiscsi.so.7"
PACKAGE = "libiscsi7"

NORMAL_SESSION = 2  # enum iscsi_session_type
NO_DIGEST = 0  # enum iscsi_header_digest
NO_DATA, DATA_OUT, DATA_IN = 0, 2, 1  # enum scsi_xfer_dir: none, write, read
GOOD, CHECK_CONDITION, BUSY, RESERVATION_CONFLICT, TASK_SET_FULL = 0x00, 0x02, 0x08, 0x18, 0x28
TRANSPORT = 0x0F000000
"""Statuses from here on are libiscsi's own: cancelled, error, timed out; the target has not answered."""


class Sense(c.Structure):
    """struct scsi_sense."""

    _fields_ = (
        ("error_type", c.c_ubyte),
        ("key", c.c_int),
        ("ascq", c.c_int),
        ("flags", c.c_ubyte),
        ("bit_pointer", c.c_ubyte),
        ("field_pointer", c.c_uint16),
    )


class ReceivedData(c.Structure):
    """struct scsi_data."""

    _fields_ = (("size", c.c_int), ("data", c.POINTER(c.c_ubyte)))


class Task(c.Structure):
    """struct scsi_task, up to the data that came in."""

    _fields_ = (
        ("status", c.c_int),
        ("cdb_size", c.c_int),
        ("xfer_dir", c.c_int),
        ("expxferlen", c.c_int),
        ("cdb", c.c_ubyte * 16),
        ("residual_status", c.c_int),
        ("residual", c.c_size_t),
        ("sense", Sense),
        ("datain", ReceivedData),
    )


class SentData(c.Structure):
    """struct iscsi_data."""

    _fields_ = (("size", c.c_size_t), ("data", c.c_char_p))


TaskPointer = c.POINTER(Task)

COMMAND_CALLBACK = c.CFUNCTYPE(None, c.c_void_p, c.c_int, c.c_void_p, c.c_void_p)
"""iscsi_command_cb: context, status, command data, private data."""

_CONTEXT, _TEXT, _INT = c.c_void_p, c.c_char_p, c.c_int
_FUNCTIONS: dict[str, tuple[object, tuple[object, ...]]] = {
    "iscsi_create_context": (_CONTEXT, (_TEXT,)),
    "iscsi_destroy_context": (_INT, (_CONTEXT,)),
    "iscsi_set_targetname": (_INT, (_CONTEXT, _TEXT)),
    "iscsi_set_alias": (_INT, (_CONTEXT, _TEXT)),
    "iscsi_set_session_type": (_INT, (_CONTEXT, _INT)),
    "iscsi_set_header_digest": (_INT, (_CONTEXT, _INT)),
    "iscsi_set_timeout": (_INT, (_CONTEXT, _INT)),
    "iscsi_set_noautoreconnect": (None, (_CONTEXT, _INT)),
    "iscsi_set_initiator_username_pwd": (_INT, (_CONTEXT, _TEXT, _TEXT)),
    "iscsi_connect_async": (_INT, (_CONTEXT, _TEXT, COMMAND_CALLBACK, _CONTEXT)),
    "iscsi_login_async": (_INT, (_CONTEXT, COMMAND_CALLBACK, _CONTEXT)),
    "iscsi_logout_async": (_INT, (_CONTEXT, COMMAND_CALLBACK, _CONTEXT)),
    "iscsi_nop_out_async": (_INT, (_CONTEXT, COMMAND_CALLBACK, _TEXT, _INT, _CONTEXT)),
    "iscsi_which_events": (_INT, (_CONTEXT,)),
    "iscsi_service": (_INT, (_CONTEXT, _INT)),
    "iscsi_get_error": (_TEXT, (_CONTEXT,)),
    "iscsi_get_fd": (_INT, (_CONTEXT,)),
    "scsi_create_task": (TaskPointer, (_INT, _TEXT, _INT, _INT)),
    "scsi_free_scsi_task": (None, (TaskPointer,)),
    "iscsi_scsi_command_async": (
        _INT,
        (_CONTEXT, _INT, TaskPointer, COMMAND_CALLBACK, c.POINTER(SentData), _CONTEXT),
    ),
}


@functools.cache
def library() -> c.CDLL:
    """The library, with its functions declared. Raises `NotInstalled`."""
    try:
        loaded = c.CDLL(LIBRARY)
    except OSError:
        raise NotInstalled(
            f"{LIBRARY} is not installed; install Debian's package {PACKAGE} (apt-get install {PACKAGE})"
        ) from None
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded
