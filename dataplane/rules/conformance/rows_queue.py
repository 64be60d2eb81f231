"""What the spec asks of every queue, whatever its layout, and of the features that concern rings (2.6, 6)."""

from __future__ import annotations

from dataplane.rules.conformance.row import Row

ROWS = (
    Row(
        "VQ-DEV-03",
        "2.6.1.1.1",
        "device",
        "MUST",
        "Behind a queue reset the device begins where a new queue begins.",
    ),
    Row(
        "VQ-DRV-06",
        "2.6.1.2.2",
        "driver",
        "MUST",
        "A queue that is enabled again is set up as a new one.",
        "MX",
    ),
    Row(
        "CLEAN-DRV-01",
        "3.3.1",
        "driver",
        "MUST",
        "A buffer that is on its way is withdrawn only with a reset of the queue or the device.",
    ),
    Row("RF-DRV-01", "6.1", "driver", "MUST", "The driver accepts VERSION_1 where it is offered.", "X"),
    Row(
        "RF-DRV-02",
        "6.1",
        "driver",
        "SHOULD",
        "The driver accepts ACCESS_PLATFORM where it is offered.",
        "X",
    ),
    Row(
        "RF-DRV-03",
        "6.1",
        "driver",
        "MUST",
        "Every address that the driver hands over lies in memory that the device can reach.",
        "MS",
    ),
    Row(
        "RF-DRV-04",
        "6.1",
        "driver",
        "SHOULD",
        "The driver accepts RING_PACKED and ORDER_PLATFORM where they are offered.",
        "X",
    ),
    Row(
        "RF-DRV-06",
        "6.1",
        "driver",
        "MUST NOT",
        "The driver accepts SR_IOV of a PCI device that has the capability, and of no other.",
        "X",
    ),
    Row(
        "RF-DRV-07",
        "6.1",
        "driver",
        "SHOULD",
        "The driver accepts NOTIF_CONFIG_DATA where it is offered.",
        "X",
    ),
    Row("RF-DEV-08", "6.2", "device", "MUST", "The device offers VERSION_1.", "X"),
    Row(
        "RF-DEV-10",
        "6.2",
        "device",
        "MUST NOT",
        "The device offers SR_IOV only as a PCI device that has the capability.",
        "X",
    ),
    Row("RF-BOTH-11", "6", "both", "info", "Feature bit 30 belongs to no feature of a device.", "X"),
)

#: What cannot be seen in a journal of an in-process pair, and why not.
UNSEEN = {
    "VQ-BOTH-01": "the queues of a pair are made with it: nothing in it can name another",
    "VQ-DEV-02": "a queue reset here enables the queue again in the same event: there is no time between",
    "VQ-DRV-04": "a queue reset here is done when it returns: there is no register to read back",
    "VQ-DEV-05": "a queue of a pair keeps its size over a reset",
    "SPLIT-DEV-03": "takes two runs with the same payload cut differently; a journal is one run",
    "SPLIT-DEV-06": "payload is not journaled: the memory of a buffer that is read is not watched",
    "SPLIT-DEV-07": "reads of payload are not journaled",
    "SPLIT-DEV-29": "payload is not journaled: which bytes were written is not known",
    "SPLIT-DRV-30": "what the driver does with the bytes behind the length is its own affair",
    "PACKED-DEV-07": "payload is not journaled: the memory of a buffer that is read is not watched",
    "PACKED-DEV-08": "reads of payload are not journaled",
    "PACKED-DRV-13": "a kick of a pair is an eventfd, which carries no notification data",
    "PACKED-DRV-14": "a network device states no limit of its own beside the queue size",
    "PACKED-DEV-19": "in which order the device went through a buffer shows only in its payload",
    "PACKED-DEV-35": "which buffers make up one packet stands in its payload",
    "RF-DRV-05": "barriers towards a device of hardware: there is none in a process",
    "RF-DEV-09": "whether a device of hardware sees memory through an IOMMU: there is none in a process",
}
