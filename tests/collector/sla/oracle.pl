# Answers, a line each, how many business seconds Business::Hours counts in a stretch of time.
# A line asks: zone, since, until (seconds), then for Sunday to Saturday "start-end,break,…" in
# minutes or "-", and holidays after "|", separated by tabs.  "segments" tells how many pieces.
use strict;
use warnings;
use POSIX ();
use Business::Hours;

$| = 1;
sub minute { my ($minute) = @_; return sprintf("%02d:%02d", int($minute / 60), $minute % 60); }
sub span {
    my ($text) = @_;
    my ($start, $end) = split /-/, $text;
    return (Start => minute($start), End => minute($end));
}
while (my $line = <STDIN>) {
    chomp $line;
    my ($question, $holidays) = split /\|/, $line, -1;
    my ($zone, $since, $until, @days) = split /\t/, $question;
    $ENV{TZ} = $zone;
    POSIX::tzset();
    my %week;
    for my $day (0 .. 6) {
        next if $days[$day] eq '-';
        my ($whole, @breaks) = split /,/, $days[$day];
        $week{$day} = { Name => $day, span($whole), Breaks => [map { { span($_) } } @breaks] };
    }
    my $hours = Business::Hours->new();
    $hours->business_hours(%week, holidays => [split /,/, $holidays]);
    my $set = $hours->for_timespan(Start => $since, End => $until);
    my @pieces = split /,/, $set->run_list;
    print $set->cardinality, "\t", scalar(@pieces), "\n";
}
