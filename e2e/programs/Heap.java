import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

/** Threads that look after args[1] MiB of arrays, replacing one after the other; the file args[0] ends it. */
public class Heap {
  /** Of an array: 128 KiB. */
  private static final int WORDS = (1 << 17) / 8;
  private static final int THREADS = 4;
  private static final AtomicLong looks = new AtomicLong();
  private static volatile boolean over = false;

  /** Contents that its first word tells. */
  private static void fill(long[] array, long seed) {
    array[0] = seed;
    for (int i = 1; i < WORDS; i++) array[i] = array[i - 1] * 6364136223846793005L + 1442695040888963407L;
  }

  private static void check(long[] array) {
    for (int i = 1; i < WORDS; i++)
      if (array[i] != array[i - 1] * 6364136223846793005L + 1442695040888963407L) {
        System.out.println("FAIL: word " + i + " of an array has changed");
        Runtime.getRuntime().halt(1);
      }
  }

  private static void lookAfter(long[][] arrays, long seed) {
    Random random = new Random(seed);
    while (!over) {
      int index = random.nextInt(arrays.length);
      check(arrays[index]);
      long[] fresh = new long[WORDS];
      fill(fresh, random.nextLong());
      arrays[index] = fresh;
      looks.incrementAndGet();
    }
    for (long[] array : arrays) check(array);
  }

  public static void main(String[] args) throws Exception {
    long[][][] arrays = new long[THREADS][8 * Integer.parseInt(args[1]) / THREADS][WORDS];
    Thread[] threads = new Thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
      int number = i;
      for (int j = 0; j < arrays[i].length; j++) fill(arrays[i][j], j);
      threads[i] = new Thread(() -> lookAfter(arrays[number], number));
    }
    for (Thread thread : threads) thread.start();
    while (!Files.exists(Path.of(args[0]))) {
      Thread.sleep(20);
      System.out.println(looks.get());
    }
    over = true;
    for (Thread thread : threads) thread.join();
    System.out.println("EXIT-SUCCESS");
  }
}
