"""The checksum of TensorBoard's event files: both who reads them and who writes them needs it."""

from __future__ import annotations


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and shifted so that sums of data that hold sums are sound (TFRecord)."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFF_FFFF
    return ((crc >> 15 | crc << 17) + 0xA282_EAD8) & 0xFFFF_FFFF


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F6_3B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _table()
