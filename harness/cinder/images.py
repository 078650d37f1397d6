"""Images as hosted drivers meet them: a stand-in for Cinder's image service, and `qemu-img` for image files."""

from __future__ import annotations

import json
from typing import Any

from harness.cinder.files import Device
from harness.cinder.machine import CommandFailed, Machine, option
from harness.cinder.syntax import Words, honours
from harness.contract import ActivityFailed, NotSupported, VolumeIsBusy
from harness.driver_kit import run_job
from harness.storage import BLOCK
from harness.testbed import Job


class ImageMachine(Machine):
    """A machine on which images are converted. A subclass says what files are volumes."""

    def volume_at(self, path: str) -> str | None:
        """The id of the backend's object whose content is at a path; None for any other path."""
        raise NotImplementedError

    def format_of(self, path: str) -> str:
        """The format of what is at a path, as Cinder's format inspector finds it; all that is simulated is safe."""
        return "raw"

    def size_of(self, path: str) -> int:
        """The virtual size of what is at a path, in bytes. Raises `CommandFailed` where there is nothing."""
        try:
            return int(self.files.os.stat(path).st_size)
        except FileNotFoundError:
            raise CommandFailed(f"qemu-img: Could not open '{path}': No such file or directory", 1) from None

    @honours("--version")
    def do_qemu_img(self, words: Words) -> str:
        if "--version" not in words:
            self.refuse(words, "that use of qemu-img is not known")
        return "qemu-img version 7.2.0\n"

    @honours("-f= --output=json --force-share", operands=(1, 1))
    def do_qemu_img__info(self, words: Words) -> str:
        if option(words, "--output") is None:
            self.refuse(words, "only what it tells as JSON is known")
        return self.image_info(words)

    def image_info(self, words: Words) -> str:
        """`qemu-img info`, as JSON."""
        path, asked = words[-1], option(words, "-f")
        if asked == "luks":
            raise CommandFailed(f"qemu-img: Could not open '{path}': Volume is not in LUKS format", 1)
        size = self.size_of(path)
        return json.dumps({"filename": path, "format": asked or "raw", "virtual-size": size, "actual-size": size})

    @honours("-O=raw -f=raw|qcow2 -t=", operands=(2, 2))
    def do_qemu_img__convert(self, words: Words) -> str:
        return self.convert(words)

    def convert(self, words: Words) -> str:
        """`qemu-img convert` of an image file to a volume."""
        source, target = words.operands
        into, chunks = self.volume_at(target), self.files.images.get(source)
        if into is None or chunks is None or option(words, "-f") not in (None, "raw"):
            self.refuse(words, "only the conversion of an image to a volume is known")
        self.work(Job("write", target=into, chunks=chunks), "qemu-img: error while writing")
        return ""

    def work(self, job: Job, complaint: str) -> None:
        """Do a job that ends with the process that started it. Raises `CommandFailed`, `ConnectionLost`."""
        self._jobs += 1
        try:
            run_job(self.connection, job, self.request_id())
        except (ActivityFailed, VolumeIsBusy, NotSupported) as error:
            raise CommandFailed(f"{complaint}: {error}", 1) from error


class HostedImageService:
    """What a hosted driver gets as the image service: Cinder's calls, over the harness's service."""

    def __init__(self, machine: ImageMachine, service: Any) -> None:
        self._machine = machine
        self._service = service
        self.temp_images: Any = None

    def show(self, context: Any, image_id: str) -> dict[str, Any]:
        """The image's record: all images are raw."""
        return {**RAW, "id": image_id, "size": self._size(image_id)}

    def download(self, context: Any, image_id: str, file: Any) -> None:
        """Put the image into a file of the machine."""
        self._machine.files.images[file.name] = tuple(self._service.chunks(image_id))
        self._machine.files.tree.get_object(file.name).set_large_file_size(self._size(image_id))

    def update(self, context: Any, image_id: str, metadata: Any, data: Any = None, **options: Any) -> None:
        """Take an image's data from a volume's device or file, read from beginning to end, or from an image's file."""
        sink = self._service.sink(image_id)
        converted = self._machine.files.images.get(getattr(data, "name", ""))
        if converted is not None:
            for chunk in converted:
                sink.write(chunk.offset, chunk.length, chunk.label, chunk.payload)
            return
        volume = self._machine.volume_at(data.name) if isinstance(data, Device) else None
        if volume is None:
            self._machine.refuse(["glance", "image-upload", str(getattr(data, "name", data))], "no volume is there")
        self._machine.work(Job("read", volume, sink=sink, point_in_time=False), "error while reading")

    def _size(self, image_id: str) -> int:
        ends = [chunk.offset + chunk.length for chunk in self._service.chunks(image_id)]
        return max(ends, default=BLOCK)


RAW = {"disk_format": "raw", "container_format": "bare", "min_disk": 0, "min_ram": 0, "properties": {}}
"""What the image service says of every image."""
