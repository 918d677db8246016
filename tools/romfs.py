"""Images of ROMFS."""

from mpremote.romfs import VfsRomWriter


def image(folder):
    """One with the folder in it, by its name."""
    writer = VfsRomWriter()
    _write(writer, folder)
    return writer.finalise()


def _write(writer, folder):
    writer.opendir(folder.name)
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            _write(writer, path)
        else:
            writer.mkfile(path.name, path.read_bytes())
    writer.closedir()
