// Runs Apache's command-line tools one after the other in one JVM, as each would run in its own: starting a JVM and
// loading Kafka's classes costs a second or two, the tools themselves a tenth of it.
// A line of input is the class and its arguments, separated by tabs; the answer is a line with the exit status and the
// number of bytes that follow: what the tool said on both outputs.

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;

public class Tools {
    /** Thrown where a tool would end its JVM. Some tools catch it, and end once more: the first time counts. */
    private static final class Ended extends RuntimeException {
        private Ended() {
            super(null, null, false, false);
        }
    }

    private static ByteArrayOutputStream said = new ByteArrayOutputStream();
    private static Integer ended;

    /** Scala keeps the stream that it finds first, so that one stream has to stay for all tools. */
    private static final class Said extends OutputStream {
        @Override
        public synchronized void write(int b) {
            if (ended == null) {
                said.write(b);
            }
        }

        @Override
        public synchronized void write(byte[] bytes, int from, int length) {
            if (ended == null) {
                said.write(bytes, from, length);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        PrintStream all = new PrintStream(new Said(), true, StandardCharsets.UTF_8);
        System.setOut(all);
        System.setErr(all);
        Exit.setExitProcedure((status, message) -> {
            ended = ended == null ? status : ended;
            throw new Ended();
        });
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split("\t");
            int status = run(words[0], Arrays.copyOfRange(words, 1, words.length));
            byte[] bytes = said.toByteArray();
            said.reset();
            ended = null;
            answers.println(status + " " + bytes.length);
            answers.write(bytes);
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static int run(String tool, String[] arguments) {
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) arguments);
            return ended == null ? 0 : ended;
        } catch (InvocationTargetException e) {
            if (ended == null) {
                e.getCause().printStackTrace();
            }
            return ended == null ? 1 : ended;
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            return 1;
        }
    }
}
