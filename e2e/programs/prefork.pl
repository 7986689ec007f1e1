# A parent that hands out work to children over socket pairs, with select, signals from a timer, and children that end and are replaced. GO
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use POSIX ':sys_wait_h';
use Socket;
use Time::HiRes qw(setitimer ITIMER_REAL sleep);

my $go = shift;
my ($ticks, $done, $next) = (0, 0, 0);
my (%children, %expected);
$| = 1;
$SIG{ALRM} = sub { $ticks++ };
setitimer(ITIMER_REAL, 0.01, 0.01);

sub failed { print "FAIL: @_\n"; exit 1 }

sub work {
    my $number = shift;
    my %seen;
    $seen{$_ * $number % 1009} .= "$_," for 1 .. 2000;
    return join ';', map { "$_=" . length $seen{$_} } sort { $a <=> $b } keys %seen;
}

sub spawn {
    socketpair(my $mine, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or failed "socketpair: $!";
    my $pid = fork // failed "fork: $!";
    if (!$pid) {
        close $_->{socket} for values %children;
        close $mine;
        setitimer(ITIMER_REAL, 0);
        $its->autoflush(1);
        # After forty answers somebody else takes over.
        for (1 .. 40) {
            defined(my $number = <$its>) or last;
            chomp $number;
            print $its "$number ", work($number), "\n";
        }
        POSIX::_exit(3);
    }
    close $its;
    $mine->autoflush(1);
    $children{$pid} = { socket => $mine, left => 40 };
    return $children{$pid};
}

sub ask {
    my $child = shift;
    $next++;
    $expected{$next} = 1;
    print { $child->{socket} } "$next\n";
}

ask(spawn()) for 1 .. 4;
while (keys %expected) {
    my $select = IO::Select->new(map { $_->{socket} } values %children);
    for my $pid (sort keys %children) {
        my $child = $children{$pid};
        next unless grep { $_ == $child->{socket} } $select->can_read(0.02);
        my ($number, $result) = split ' ', readline $child->{socket};
        delete $expected{$number} or failed "nobody asked for $number";
        $result eq work($number) or failed "the result of $number is $result";
        print ++$done, "\n";
        if (--$child->{left} == 0) {
            waitpid($pid, 0) == $pid && $? == 3 << 8 or failed "child $pid ended with $?";
            close $child->{socket};
            delete $children{$pid};
            $child = spawn();
        }
        ask($child) unless -e $go;
    }
}
failed "only $ticks ticks" if $ticks < 10;
print "EXIT-SUCCESS\n";
