import java.io.FileInputStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** Reads a zip file from front to back; a line for each entry: its name and contents in hexadecimal. */
class ReadForwards {
    public static void main(String[] arguments) throws Exception {
        HexFormat hex = HexFormat.of();
        try (ZipInputStream zip = new ZipInputStream(new FileInputStream(arguments[0]))) {
            for (ZipEntry entry; (entry = zip.getNextEntry()) != null; ) {
                byte[] name = entry.getName().getBytes(StandardCharsets.UTF_8);
                System.out.println(hex.formatHex(name) + " " + hex.formatHex(zip.readAllBytes()));
            }
        }
    }
}
