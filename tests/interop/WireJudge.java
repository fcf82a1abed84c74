// Reads messages as Apache Kafka reads them. A line of input is "CLASS VERSION HEX"; a line of output is what Kafka
// wrote back in hex and what it understood as JSON, or "! " and the exception.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.Readable;

public class WireJudge {
    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println(judge(line.split(" ")));
        }
    }

    private static String judge(String[] words) {
        try {
            Class<?> type = Class.forName("org.apache.kafka.common.message." + words[0] + "Data");
            short version = Short.parseShort(words[1]);
            byte[] raw = words.length > 2 ? HexFormat.of().parseHex(words[2]) : new byte[0];
            ByteBufferAccessor readable = new ByteBufferAccessor(ByteBuffer.wrap(raw));
            Message message = (Message) type.getConstructor(Readable.class, short.class).newInstance(readable, version);
            if (readable.remaining() != 0) {
                return "! " + readable.remaining() + " bytes left";
            }
            ByteBuffer written = MessageUtil.toByteBuffer(message, version);
            byte[] back = new byte[written.remaining()];
            written.get(back);
            Class<?> converter = Class.forName("org.apache.kafka.common.message." + words[0] + "DataJsonConverter");
            Method write = converter.getMethod("write", type, short.class, boolean.class);
            return HexFormat.of().formatHex(back) + " " + write.invoke(null, message, version, false);
        } catch (ReflectiveOperationException | RuntimeException e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            return "! " + cause.toString().replace('\n', ' ');
        }
    }
}
