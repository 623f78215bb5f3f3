package dev.stratigraph.rest;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import org.apache.iceberg.Files;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.io.PositionOutputStream;
import org.apache.iceberg.io.SeekableInputStream;

/**
 * Reads and writes local files without Hadoop, whose client jars are larger than all else that this server needs.
 *
 * <p>A location is a plain path or a {@code file:} URI. It is taken literally, never percent-decoded: pyiceberg, the
 * other party that writes into the same warehouse, does the same.
 */
public final class LocalFileIO implements FileIO {
  private static final String SCHEME = "file:";

  @Override
  public void initialize(Map<String, String> properties) {
    // Local files need no settings; the default of the interface would refuse to be initialized.
  }

  @Override
  public InputFile newInputFile(String location) {
    return new LocatedInput(location, Files.localInput(toFile(location)));
  }

  @Override
  public OutputFile newOutputFile(String location) {
    return new LocatedOutput(location, Files.localOutput(toFile(location)));
  }

  @Override
  public void deleteFile(String location) {
    try {
      java.nio.file.Files.deleteIfExists(toFile(location).toPath());
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot delete " + location, e);
    }
  }

  private static File toFile(String location) {
    if (!location.startsWith(SCHEME)) {
      return new File(location);
    }
    String rest = location.substring(SCHEME.length());
    // file:///x has an empty authority, file:/x has none: both are the path /x.
    String path = rest.startsWith("///") ? rest.substring(2) : rest;
    if (path.startsWith("//")) {
      throw new IllegalArgumentException("Not a file of this machine: " + location);
    }
    return new File(path);
  }

  /** Keeps the location as it was asked for: Iceberg records it, and a bare path would lose the scheme. */
  private record LocatedInput(String location, InputFile file) implements InputFile {
    @Override
    public long getLength() {
      return file.getLength();
    }

    @Override
    public SeekableInputStream newStream() {
      return file.newStream();
    }

    @Override
    public boolean exists() {
      return file.exists();
    }
  }

  /** Keeps the location as it was asked for, like {@link LocatedInput}. */
  private record LocatedOutput(String location, OutputFile file) implements OutputFile {
    @Override
    public PositionOutputStream create() {
      return file.create();
    }

    @Override
    public PositionOutputStream createOrOverwrite() {
      return file.createOrOverwrite();
    }

    @Override
    public InputFile toInputFile() {
      return new LocatedInput(location, file.toInputFile());
    }
  }
}
