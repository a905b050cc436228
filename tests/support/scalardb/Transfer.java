import com.scalar.db.api.DistributedTransaction;
import com.scalar.db.api.Get;
import com.scalar.db.api.Put;
import com.scalar.db.common.TableMetadataManager;
import com.scalar.db.config.DatabaseConfig;
import com.scalar.db.exception.transaction.CommitConflictException;
import com.scalar.db.exception.transaction.CrudConflictException;
import com.scalar.db.io.Key;
import com.scalar.db.rpc.DistributedTransactionGrpc;
import com.scalar.db.storage.rpc.GrpcAdmin;
import com.scalar.db.storage.rpc.GrpcConfig;
import com.scalar.db.storage.rpc.GrpcUtils;
import com.scalar.db.transaction.rpc.GrpcTransaction;
import com.scalar.db.transaction.rpc.GrpcTransactionOnBidirectionalStream;
import com.scalar.db.util.retry.ServiceTemporaryUnavailableException;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Moves money between accounts of two databases through ScalarDB Servers.
 *
 * <p>Usage: {@code Transfer PORT[,PORT…] init | run THREADS | sum | hold SECONDS}. {@code run} stops at a line, or the
 * end, of standard input. Every transfer takes from one database and gives to the other, so the total never changes.
 */
// the put of transactions is deprecated for an upsert, which the servers' gRPC does not carry
@SuppressWarnings("deprecation")
public final class Transfer {
  private static final int ACCOUNTS = 200;
  private static final int BALANCE = 10_000;
  private static final String[] BANKS = {"bank1", "bank2"};
  private static final long RETRY_MILLIS = 20;
  private static final long REPORT_MILLIS = 200;

  /**
   * One server, through the parts that ScalarDB's own client is made of. The client itself begins a transaction on a
   * closed server again and again, twice as late each time, and would sleep on long after the server is open again.
   */
  private static final class Server {
    private final GrpcConfig config;
    private final DistributedTransactionGrpc.DistributedTransactionStub stub;
    private final TableMetadataManager metadata;

    Server(String port) {
      Properties properties = new Properties();
      properties.setProperty("scalar.db.transaction_manager", "grpc");
      properties.setProperty("scalar.db.contact_points", "127.0.0.1");
      properties.setProperty("scalar.db.contact_port", port);
      properties.setProperty("scalar.db.grpc.deadline_duration_millis", "10000");
      config = new GrpcConfig(new DatabaseConfig(properties));
      ManagedChannel channel = GrpcUtils.createChannel(config);
      stub = DistributedTransactionGrpc.newStub(channel);
      metadata = new TableMetadataManager(new GrpcAdmin(channel, config), -1);
    }

    DistributedTransaction begin() throws Exception {
      GrpcTransactionOnBidirectionalStream stream =
          new GrpcTransactionOnBidirectionalStream(config, stub, metadata);
      return new GrpcTransaction(stream.beginTransaction(null), stream);
    }
  }

  private final List<Server> servers = new ArrayList<>();
  private final AtomicLong committed = new AtomicLong();
  private final AtomicLong refused = new AtomicLong();
  private final AtomicLong conflicted = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();
  private volatile boolean stopping;

  private Transfer(String ports) {
    for (String port : ports.split(",")) {
      servers.add(new Server(port));
    }
  }

  public static void main(String[] arguments) {
    int code = 0;
    try {
      new Transfer(arguments[0]).command(arguments);
    } catch (Exception failure) {
      failure.printStackTrace();
      code = 1;
    }
    System.out.flush();
    // the channels' and the pool's threads would keep the process
    System.exit(code);
  }

  private void command(String[] arguments) throws Exception {
    switch (arguments[1]) {
      case "init" -> init();
      case "run" -> run(Integer.parseInt(arguments[2]));
      case "sum" -> sum();
      case "hold" -> hold(Double.parseDouble(arguments[2]));
      default -> throw new IllegalArgumentException("unknown command " + arguments[1]);
    }
  }

  private DistributedTransaction begin() throws Exception {
    return servers.get(ThreadLocalRandom.current().nextInt(servers.size())).begin();
  }

  private static int balance(DistributedTransaction transaction, String bank, int id) throws Exception {
    Get get = Get.newBuilder().namespace(bank).table("account").partitionKey(Key.ofInt("id", id)).build();
    return transaction.get(get)
        .orElseThrow(() -> new IllegalStateException("no account " + id + " in " + bank))
        .getInt("balance");
  }

  private static Put write(String bank, int id, int balance) {
    return Put.newBuilder()
        .namespace(bank)
        .table("account")
        .partitionKey(Key.ofInt("id", id))
        .intValue("balance", balance)
        .enableImplicitPreRead()
        .build();
  }

  private static void abort(DistributedTransaction transaction) {
    try {
      transaction.abort();
    } catch (Exception ignored) {
      // the failure that led here is the one that is counted
    }
  }

  private void init() throws Exception {
    inParallel(8, (bank, id) -> write(bank, id, BALANCE));
    System.out.println("initialised " + BANKS.length * ACCOUNTS);
  }

  private interface Account {
    Put at(String bank, int id);
  }

  /** Writes every account, a slice of each bank a thread. */
  private void inParallel(int threads, Account account) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    List<Future<Void>> slices = new ArrayList<>();
    for (int thread = 0; thread < threads; thread++) {
      int first = thread;
      slices.add(pool.submit((Callable<Void>) () -> {
        DistributedTransaction transaction = begin();
        for (String bank : BANKS) {
          for (int id = first; id < ACCOUNTS; id += threads) {
            transaction.put(account.at(bank, id));
          }
        }
        transaction.commit();
        return null;
      }));
    }
    for (Future<Void> slice : slices) {
      slice.get();
    }
  }

  private void run(int threads) throws Exception {
    List<Thread> workers = new ArrayList<>();
    for (int number = 0; number < threads; number++) {
      Thread worker = new Thread(this::transferUntilStopped);
      worker.start();
      workers.add(worker);
    }
    Thread stopper = new Thread(() -> {
      try {
        System.in.read();
      } catch (java.io.IOException ignored) {
        // as good as its end
      }
      stopping = true;
    });
    stopper.setDaemon(true);
    stopper.start();
    while (!stopping) {
      Thread.sleep(REPORT_MILLIS);
      report();
    }
    for (Thread worker : workers) {
      worker.join();
    }
    report();
    System.out.println("stopped");
  }

  private void report() {
    System.out.printf(
        "committed %d refused %d conflicted %d failed %d%n",
        committed.get(), refused.get(), conflicted.get(), failed.get());
  }

  private void transferUntilStopped() {
    while (!stopping) {
      try {
        transfer();
        committed.incrementAndGet();
      } catch (CrudConflictException | CommitConflictException conflict) {
        conflicted.incrementAndGet();
      } catch (Exception failure) {
        boolean unavailable = isUnavailable(failure);
        (unavailable ? refused : failed).incrementAndGet();
        if (!unavailable) {
          failure.printStackTrace();
        }
        pause();
      }
    }
  }

  private void transfer() throws Exception {
    ThreadLocalRandom random = ThreadLocalRandom.current();
    int from = random.nextInt(BANKS.length);
    int source = random.nextInt(ACCOUNTS);
    int target = random.nextInt(ACCOUNTS);
    int amount = 1 + random.nextInt(10);
    DistributedTransaction transaction = begin();
    try {
      int rest = balance(transaction, BANKS[from], source) - amount;
      int sum = balance(transaction, BANKS[1 - from], target) + amount;
      transaction.put(write(BANKS[from], source, rest));
      transaction.put(write(BANKS[1 - from], target, sum));
      transaction.commit();
    } catch (Exception failure) {
      abort(transaction);
      throw failure;
    }
  }

  private static boolean isUnavailable(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof ServiceTemporaryUnavailableException) {
        return true;
      }
      if (cause instanceof StatusRuntimeException status
          && status.getStatus().getCode() == Status.Code.UNAVAILABLE) {
        return true;
      }
    }
    return false;
  }

  private static void pause() {
    try {
      Thread.sleep(RETRY_MILLIS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Reads every account in one transaction; meant for when no transfer runs. */
  private void sum() throws Exception {
    for (int attempt = 1; ; attempt++) {
      DistributedTransaction transaction = begin();
      try {
        long total = 0;
        for (String bank : BANKS) {
          for (int id = 0; id < ACCOUNTS; id++) {
            total += balance(transaction, bank, id);
          }
        }
        transaction.commit();
        System.out.println("total " + total);
        return;
      } catch (CrudConflictException | CommitConflictException conflict) {
        abort(transaction);
        if (attempt == 20) {
          throw conflict;
        }
        // a transaction that was cut off is repaired once it is 15 s old
        Thread.sleep(1000);
      }
    }
  }

  /** Keeps one transaction open that has read and written in both databases. */
  private void hold(double seconds) throws Exception {
    DistributedTransaction transaction = begin();
    int id = ThreadLocalRandom.current().nextInt(ACCOUNTS);
    for (String bank : BANKS) {
      transaction.put(write(bank, id, balance(transaction, bank, id)));
    }
    System.out.println("open");
    Thread.sleep((long) (seconds * 1000));
    try {
      transaction.commit();
      System.out.println("committed");
    } catch (Exception failure) {
      System.out.println("failed " + failure.getMessage());
    }
  }
}
