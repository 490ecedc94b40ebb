<?php
// Follows all payments with `GET /events`: nothing is lost, nothing comes twice. PHP 8.0 or newer with pdo_sqlite.
//
//   API_URL=http://127.0.0.1:8000 API_KEY=qrisd_test_... php till.php
//
// The key needs the scope events:read. Run one at a time; stop it as you like, even by the plug: till.db knows the
// place.

$till = new PDO('sqlite:till.db');
$till->exec('CREATE TABLE IF NOT EXISTS book (event_id INTEGER PRIMARY KEY, order_id, type, status, exception)');

/** The events behind $after; waits up to 25 seconds for the next one. */
function ask(int $after): array
{
    $options = [
        'header' => 'Authorization: Bearer ' . getenv('API_KEY'),
        'timeout' => 40, // seconds, longer than it waits
        'ignore_errors' => true, // gives the text of an error too
        'follow_location' => 0,
    ];
    $url = getenv('API_URL') . "/events?after=$after&wait=25";
    $answer = @fopen($url, 'r', false, stream_context_create(['http' => $options]));
    if ($answer === false) {
        throw new RuntimeException('no answer');
    }
    $status = (int) explode(' ', stream_get_meta_data($answer)['wrapper_data'][0])[1];
    $text = (string) stream_get_contents($answer);
    if (in_array($status, [400, 401, 403, 404, 422], true)) {
        fwrite(STDERR, "A person is needed: $text\n"); // a wrong key; a server from an older backup
        exit(1);
    }
    if ($status !== 200) {
        throw new RuntimeException("HTTP $status");
    }
    return json_decode($text, true, 512, JSON_THROW_ON_ERROR)['data'];
}

/** One transaction for what the till keeps and for where it is: the newest event in the book is the place. */
function write_down(PDO $till, array $event): void
{
    $payment = $event['data'];
    $till->beginTransaction();
    $till->prepare('INSERT INTO book VALUES (?, ?, ?, ?, ?)')->execute(
        [$event['id'], $payment['order_id'], $event['type'], $payment['status'], $payment['exception']]
    );
    // What else the till keeps in till.db (stock, the day's takings) belongs here.
    $till->commit();
    if ($event['type'] === 'payment.paid' && $payment['exception'] === null) {
        // Once it is written down: a crash just here leaves this out, so look into the book after a start.
        echo "{$payment['order_id']} is paid\n";
    }
}

$pause_s = 1;
while (true) {
    // 0 is before the very first event. To leave the past out, ask once with after=latest and book its next_after.
    $after = (int) $till->query('SELECT coalesce(max(event_id), 0) FROM book')->fetchColumn();
    try {
        $events = ask($after);
    } catch (RuntimeException | JsonException $error) {
        fwrite(STDERR, "The server is away ({$error->getMessage()}); asking again\n");
        usleep(random_int(500_000, 1_000_000) * $pause_s); // so that not all tills come back in the same moment
        $pause_s = min($pause_s * 2, 30);
        continue;
    }
    $pause_s = 1;
    foreach ($events as $event) {
        write_down($till, $event);
    }
}
