import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

/** Threads that fill, check and forget arrays, which keeps the collector busy; the file args[0] ends it. */
public class Allocations {
  private static final AtomicLong made = new AtomicLong();

  private static void allocate(int seed) {
    Random random = new Random(seed);
    Map<Integer, byte[]> kept = new HashMap<>();
    while (true) {
      int key = random.nextInt(200);
      byte[] fresh = new byte[1000 + key * 10];
      Arrays.fill(fresh, (byte) key);
      byte[] old = kept.put(key, fresh);
      if (old != null)
        for (byte one : old)
          if (one != (byte) key) fail("an array changed");
      if (made.incrementAndGet() % 100 == 0) {
        try {
          Thread.sleep(1);
        } catch (InterruptedException interrupted) {
          fail("a sleep was interrupted");
        }
      }
    }
  }

  private static void fail(String what) {
    System.out.println("FAIL: " + what);
    System.exit(1);
  }

  public static void main(String[] args) throws Exception {
    for (int i = 0; i < 3; i++) {
      int seed = i;
      Thread thread = new Thread(() -> allocate(seed), "allocate-" + i);
      thread.setDaemon(true);
      thread.start();
    }
    while (made.get() < 1000) Thread.sleep(10);
    System.out.println("ready");
    while (!Files.exists(Path.of(args[0]))) {
      Thread.sleep(10);
      System.out.println(made.get());
    }
    long goal = made.get() + 1000;
    while (made.get() < goal) Thread.sleep(10);
    System.out.println("EXIT-SUCCESS");
    System.exit(0);
  }
}
